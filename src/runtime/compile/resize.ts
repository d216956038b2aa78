import { NotCompiledError } from '../runtime.errors';
import { floats } from './constant';
import { type GraphBuilder } from './graph-builder';
import { type Value } from './value';

export interface ResizeRule {
  readonly method: 'bilinear' | 'nearest';
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
}

/** Resize-13 of images to a height and width. */
export function resize(
  b: GraphBuilder,
  x: Value,
  [height, width]: readonly [number, number],
  { method, alignCorners, halfPixelCenters }: ResizeRule,
): Value {
  const [batch = -1, inHeight = -1, inWidth = -1, channels = -1] = x.shape;
  if (inHeight < 0 || inWidth < 0) {
    throw new NotCompiledError('Resizing images of open sizes is not compiled');
  }
  if (inHeight === height && inWidth === width) return x;
  const factors = [1, 1, height / inHeight, width / inWidth];
  // By scales, because a batch of unknown size could not be named in sizes; each is exact enough
  // to come out at the size that it was made from.
  const name = b.emit('Resize', 13, [b.first(x), '', b.weights(floats(exact(factors, x)))], {
    mode: { text: method === 'bilinear' ? 'linear' : 'nearest' },
    coordinate_transformation_mode: {
      text: alignCorners ? 'align_corners' : halfPixelCenters ? 'half_pixel' : 'asymmetric',
    },
    ...(method === 'nearest'
      ? { nearest_mode: { text: alignCorners ? 'round_prefer_ceil' : 'floor' } }
      : {}),
  });
  return { dtype: 'float32', shape: [batch, height, width, channels], names: { first: name } };
}

/** Nudges a factor whose float32 form would cut the last row or column off. */
function exact(factors: readonly number[], x: Value): number[] {
  const [, height = 1, width = 1] = x.shape;
  const sizes = [1, 1, height, width];
  return factors.map((factor, axis) => {
    const size = sizes[axis] ?? 1;
    const wanted = Math.round(factor * size);
    const rounded = Math.fround(factor);
    return Math.floor(Math.fround(rounded * size)) < wanted ? rounded * (1 + 2 ** -23) : rounded;
  });
}
