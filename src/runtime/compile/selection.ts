import { NotCompiledError } from '../runtime.errors';
import { floats, scalar } from './constant';
import { binary, nary } from './elementwise';
import { type GraphBuilder } from './graph-builder';
import { axisOf, rankOf, type Value } from './value';

/** A place that no table has. */
const OUTSIDE = 2 ** 31 - 1;

/** Gather-13: the slices along an axis that the indices name. */
export function gather(b: GraphBuilder, x: Value, indices: Value, axis: number): Value {
  const at = axisOf(axis, rankOf(x));
  const places = fromTheFront(b, indices, x.shape[at] ?? -1);
  const name = b.emit('Gather', 13, [b.last(x), b.last(places)], { axis: { int: at } });
  const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
  return { dtype: x.dtype, shape, names: { last: name } };
}

/**
 * Indices that ONNX fails on below zero, too: it counts negative ones from the end, and TensorFlow.js
 * refuses them. Less-13, Where-16.
 */
function fromTheFront(b: GraphBuilder, indices: Value, size: number): Value {
  const { constant } = indices;
  if (constant) {
    if (constant.read().every((index) => index >= 0)) return indices;
    throw new NotCompiledError('Negative places of a table are not compiled');
  }
  const outside = b.constant(scalar(size < 0 ? OUTSIDE : size, 'int32'));
  const isNegative = binary(b, ['Less', 13], indices, b.constant(scalar(0, 'int32')), 'bool');
  return nary(b, ['Where', 16], [isNegative, outside, indices], 'int32');
}

/** GatherND-13. */
export function gatherNd(b: GraphBuilder, x: Value, indices: Value): Value {
  const depth = indices.shape.at(-1) ?? -1;
  if (depth < 0) throw new NotCompiledError('GatherNd with indices of open depth is not compiled');
  // ONNX takes indices of 64 bits only.
  const wide = b.emit('Cast', 13, [b.last(fromTheFront(b, indices, -1))], { to: { int: 7 } });
  const name = b.emit('GatherND', 13, [b.last(x), wide]);
  const shape = [...indices.shape.slice(0, -1), ...x.shape.slice(depth)];
  return { dtype: x.dtype, shape, names: { last: name } };
}

/** OneHot-11, of 64 bits and of fractions, which is the form that there is; none where out of range. */
export function oneHot(
  b: GraphBuilder,
  indices: Value,
  depth: number,
  [off, on]: readonly [number, number],
  axis: number,
): Value {
  const wide = b.emit('Cast', 13, [b.last(fromTheFront(b, indices, depth))], { to: { int: 7 } });
  const values = b.weights(floats([off, on]));
  const name = b.emit('OneHot', 11, [wide, b.index(depth), values], { axis: { int: axis } });
  const at = axis < 0 ? indices.shape.length : axis;
  return {
    dtype: 'float32',
    shape: indices.shape.toSpliced(at, 0, depth),
    names: { last: name },
  };
}

/** TopK-11: the largest values of the last axis and where they stand, largest first. */
export function topK(b: GraphBuilder, x: Value, count: number): readonly [Value, Value] {
  const at = rankOf(x) - 1;
  const [values = '', indices = ''] = b.emitMany(
    'TopK',
    11,
    [b.last(x), b.list([count])],
    { axis: { int: at } },
    2,
  );
  const shape = x.shape.with(at, count);
  const narrow = b.emit('Cast', 13, [indices], { to: { int: 6 } });
  return [
    { dtype: x.dtype, shape, names: { last: values } },
    { dtype: 'int32', shape, names: { last: narrow } },
  ];
}
