import { type Tensor } from '../common/tensor';
import { withPixels } from './decode-image';
import { type ImageInput } from './image-input';
import { type ImageRecipe, type Scale } from './recipe';
import { resizeBilinear } from './resize-bilinear';

/**
 * One image as one row of a model's input, shape [1, …].
 *
 * `subject` is what failures call it. int32 and uint8 take the nearest whole numbers.
 *
 * @throws NotAnImageError, ImageTooLargeError, ImageDamagedError
 */
export async function imageTensor(
  bytes: Uint8Array,
  { orient, channels, resize, scale, layout }: ImageRecipe,
  { dtype }: Pick<ImageInput, 'dtype'>,
  subject = 'The image',
): Promise<Tensor> {
  const values = await withPixels(
    bytes,
    orient,
    async (pixels) => await resizeBilinear(pixels, resize, channels),
    subject,
  );
  const depth = channels === 'rgb' ? 3 : 1;
  applyScale(values, scale, depth);
  const { height, width } = resize;
  const ordered = layout === 'hwc' ? values : planes(values, depth);
  const shape = layout === 'hwc' ? [1, height, width, depth] : [1, depth, height, width];
  return { dtype, shape, data: bytesOf(ordered, dtype) };
}

function bytesOf(values: Float32Array, dtype: ImageInput['dtype']): Uint8Array {
  switch (dtype) {
    case 'float32':
      return new Uint8Array(values.buffer);
    case 'int32':
      return new Uint8Array(Int32Array.from(values, Math.round).buffer);
    case 'uint8':
      return new Uint8Array(Uint8ClampedArray.from(values, Math.round).buffer);
  }
}

function applyScale(values: Float32Array, scale: Scale, depth: number): void {
  const multiply = perChannel(scale.multiply, depth);
  const offset = perChannel(scale.offset, depth);
  for (let channel = 0; channel < depth; channel++) {
    const by = multiply[channel] ?? 1;
    const plus = offset[channel] ?? 0;
    for (let at = channel; at < values.length; at += depth) {
      values[at] = (values[at] ?? 0) * by + plus;
    }
  }
}

function perChannel(value: number | readonly number[], depth: number): readonly number[] {
  return typeof value === 'number' ? Array.from({ length: depth }, () => value) : value;
}

/** From pixel after pixel to plane after plane. */
function planes(values: Float32Array, depth: number): Float32Array {
  const area = values.length / depth;
  return values.map((_value, at) => values[(at % area) * depth + Math.floor(at / area)] ?? 0);
}
