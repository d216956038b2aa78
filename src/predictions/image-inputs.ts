import assert from 'node:assert';
import { buffer } from 'node:stream/consumers';

import { pack } from 'tar-stream';

import { InvalidInputError } from '../common/errors';
import { type NamedTensors, type Tensor } from '../common/tensor';
import { imagePlan } from '../features/image-input';
import { imageTensor } from '../features/image-tensor';
import { imageTypeOf } from '../features/image-type';
import { recipeDigest } from '../features/recipe';
import { type VersionDoc } from '../models/version.doc';
import { type SentImage } from './image-request';
import { digestInTurns } from './prediction-input';
import { type PredictionInput } from './prediction.doc';

/** What all images of a request may become together. */
const MAX_TENSOR_BYTES = 256 * 1024 * 1024;

/** Images understood: the tensors that a model sees, and what is kept as its input. */
export interface ImageInputs {
  readonly inputs: NamedTensors;
  readonly rows: number;
  readonly input: PredictionInput;
}

/**
 * Turns images into the input of a version, one row each, by its recipe.
 *
 * What is kept are the bytes as they came, with the type that they have: an image by itself, several
 * as a tar whose members are `<row>/<filename>`.
 *
 * @throws NoImageInputError, NotAnImageError, ImageTooLargeError, ImageDamagedError; InvalidInputError
 * for more images than the model takes
 */
export async function readImages(
  images: readonly SentImage[],
  { recipe: declared, signature }: Pick<VersionDoc, 'recipe' | 'signature'>,
): Promise<ImageInputs> {
  const { recipe, input } = imagePlan(declared, signature);
  const { height, width } = recipe.image.resize;
  const bytes = images.length * height * width * (recipe.image.channels === 'rgb' ? 3 : 1) * 4;
  if (images.length > 1 && !input.takesBatch) {
    throw tooMany(images.length, 'this model takes one image at a time');
  }
  if (bytes > MAX_TENSOR_BYTES) {
    throw tooMany(images.length, `together they become ${bytes} bytes, over ${MAX_TENSOR_BYTES}`);
  }
  const tensors = await Promise.all(
    images.map(async ({ content, filename }, row) => {
      const subject =
        images.length === 1 ? 'The image' : `File ${row + 1} (${filename ?? 'no name'})`;
      return await imageTensor(content, recipe.image, input, subject);
    }),
  );
  return {
    inputs: { [input.name]: stack(tensors) },
    rows: images.length,
    input: { ...(await keep(images)), recipe: recipeDigest(recipe) },
  };
}

function stack(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  assert(first, 'a request without images is refused when it is read');
  const data = tensors.length === 1 ? first.data : Buffer.concat(tensors.map((one) => one.data));
  return { dtype: first.dtype, shape: [tensors.length, ...first.shape.slice(1)], data };
}

async function keep(images: readonly SentImage[]): Promise<PredictionInput> {
  const [first] = images;
  const alone = images.length === 1 ? first : undefined;
  const content = alone ? alone.content : await toTar(images);
  return {
    digest: await digestInTurns(content),
    kind: 'image',
    bytes: content.length,
    contentType: alone ? imageTypeOf(content) : 'application/x-tar',
    ...(alone?.filename === undefined ? {} : { filename: alone.filename }),
    content,
  };
}

/** The same images in the same order give the same bytes. */
async function toTar(images: readonly SentImage[]): Promise<Buffer> {
  const tar = pack();
  for (const [row, { content, filename }] of images.entries()) {
    tar.entry({ name: `${row}/${filename ?? 'image'}`, mtime: new Date(0) }, content);
  }
  tar.finalize();
  return await buffer(tar);
}

function tooMany(count: number, why: string): InvalidInputError {
  return new InvalidInputError(`Too many images in one request: ${why}`, [
    { path: 'file', message: `stands ${count} times: ${why}` },
  ]);
}
