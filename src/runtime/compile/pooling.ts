import { type Window, windowAttributes, windowPlaces } from './convolutions';
import { type GraphBuilder } from './graph-builder';
import { type Value } from './value';

export type PoolKind = 'max' | 'average';

/** MaxPool-12, AveragePool-11; averages count only what lies inside, as TensorFlow's do. */
export function pool(
  b: GraphBuilder,
  x: Value,
  kind: PoolKind,
  sizes: readonly number[],
  window: Window,
): Value {
  const { dilations, ...rest } = windowAttributes(x, sizes, window);
  const attributes = { kernel_shape: { ints: sizes }, ...rest };
  const name =
    kind === 'max'
      ? b.emit('MaxPool', 12, [b.first(x)], { ...attributes, ...(dilations ? { dilations } : {}) })
      : b.emit('AveragePool', 11, [b.first(x)], attributes);
  const shape = [x.shape[0] ?? -1, ...windowPlaces(x, sizes, window), x.shape.at(-1) ?? -1];
  return { dtype: x.dtype, shape, names: { first: name } };
}
