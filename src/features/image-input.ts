import { type DType, type Signature } from '../common/tensor';
import { NoImageInputError } from './features.errors';
import { type Channels, type ImageRecipe, MAX_AREA, type Recipe } from './recipe';

const IMAGE_DTYPES = ['float32', 'int32', 'uint8'] as const satisfies readonly DType[];

/** The only input of a model, as far as an image can fill it. Open dimensions are left out. */
export interface ImageInput {
  readonly name: string;
  readonly dtype: (typeof IMAGE_DTYPES)[number];
  readonly height?: number;
  readonly width?: number;
  readonly channels?: Channels;
  /** Whether one call can take several images. */
  readonly takesBatch: boolean;
}

/** Null when the model has no such input: one, of rank 4, of numbers, with one or three channels. */
export function imageInputOf(
  { inputs }: Signature,
  layout: ImageRecipe['layout'],
): ImageInput | null {
  const [input] = inputs;
  if (!input || inputs.length !== 1) return null;
  const { name, dtype, shape } = input;
  if (shape.length !== 4 || !isImageDType(dtype)) return null;
  const [rows = 0, ...rest] = shape;
  if (rows !== -1 && rows !== 1) return null;
  const [height = 0, width = 0, depth = 0] =
    layout === 'hwc' ? rest : [rest[1] ?? 0, rest[2] ?? 0, rest[0] ?? 0];
  if (depth !== -1 && depth !== 1 && depth !== 3) return null;
  return {
    name,
    dtype,
    ...(height > 0 ? { height } : {}),
    ...(width > 0 ? { width } : {}),
    ...(depth > 0 ? { channels: depth === 1 ? 'gray' : 'rgb' } : {}),
    takesBatch: rows === -1,
  };
}

/**
 * What a version does with images: its own recipe, or the one that follows from its input.
 *
 * A derived recipe resizes to the input, makes as many channels as it has, and scales to 0..1 for
 * float32 while whole numbers keep 0..255. It depends on the signature alone.
 *
 * @throws NoImageInputError when neither is possible
 */
export function imagePlan(
  recipe: Recipe | null,
  signature: Signature,
): { readonly recipe: Recipe; readonly input: ImageInput } {
  const input = imageInputOf(signature, recipe?.image.layout ?? 'hwc');
  if (!input) {
    throw new NoImageInputError(
      'This model takes no images: it would need one input of shape [n, height, width, 1 or 3], float32, int32 or uint8. Send JSON',
      [],
      { expected: signature.inputs },
    );
  }
  if (recipe) return { recipe, input };
  const { height, width, channels, dtype } = input;
  if (height === undefined || width === undefined || channels === undefined) {
    throw new NoImageInputError(
      'The input of this model has an open size, so a recipe has to say what an image is resized to; upload the version with one',
      [],
      { expected: signature.inputs },
    );
  }
  if (height * width > MAX_AREA) {
    throw new NoImageInputError(
      `The input of this model is a picture of ${height} x ${width}, at most ${MAX_AREA} pixels are made from an image. Send JSON`,
    );
  }
  const image: ImageRecipe = {
    orient: 'exif',
    channels,
    resize: { height, width, method: 'bilinear' },
    scale: { multiply: defaultMultiply(dtype), offset: 0 },
    layout: 'hwc',
  };
  return { recipe: { image }, input };
}

/** What takes the values of pixels to where models expect them. */
export function defaultMultiply(dtype: ImageInput['dtype']): number {
  return dtype === 'float32' ? 1 / 255 : 1;
}

function isImageDType(dtype: DType): dtype is ImageInput['dtype'] {
  return (IMAGE_DTYPES as readonly DType[]).includes(dtype);
}
