import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { extract } from 'tar-stream';

import { InvalidInputError } from '../common/errors';
import { type NamedTensors, type TensorSpec } from '../common/tensor';
import { type VersionDoc } from '../models/version.doc';
import { readImages } from '../predictions/image-inputs';
import { type SentImage } from '../predictions/image-request';
import { type StoredInput } from '../predictions/prediction.doc';
import { decodeTensorFile } from '../predictions/tensor-file';

/**
 * A recorded input as a version takes it: tensors as they are, images through the version's recipe.
 *
 * @throws InvalidInputError when the version takes other inputs than the one that was recorded for;
 * StoreError of the recipe
 */
export async function inputsFor(
  version: Pick<VersionDoc, 'signature' | 'recipe'>,
  { kind, contentType }: Pick<StoredInput, 'kind' | 'contentType'>,
  content: Buffer,
): Promise<NamedTensors> {
  if (kind === 'image') {
    return (await readImages(await imagesOf(contentType, content), version)).inputs;
  }
  const tensors = decodeTensorFile(content);
  assertFits(tensors, version.signature.inputs);
  return tensors;
}

/** Several images of one request were kept as a tar, in their order. */
async function imagesOf(contentType: string, content: Buffer): Promise<SentImage[]> {
  if (contentType !== 'application/x-tar') return [{ content }];
  const images: SentImage[] = [];
  const members = Readable.from([content]).pipe(extract());
  for await (const member of members) images.push({ content: await buffer(member) });
  return images;
}

function assertFits(tensors: NamedTensors, specs: readonly TensorSpec[]): void {
  const names = Object.keys(tensors);
  const unknown = names.find((name) => !specs.some((spec) => spec.name === name));
  if (unknown !== undefined) throw misfit(unknown, 'is no input of this version');
  for (const { name, dtype, shape } of specs) {
    const tensor = tensors[name];
    if (!tensor) throw misfit(name, 'was not recorded');
    const fits =
      tensor.dtype === dtype &&
      tensor.shape.length === shape.length &&
      shape.every((size, axis) => size === -1 || size === tensor.shape[axis]);
    if (!fits) {
      throw misfit(
        name,
        `is ${tensor.dtype} [${tensor.shape.join(', ')}], this version takes ${dtype} [${shape.join(', ')}]`,
      );
    }
  }
}

function misfit(name: string, why: string): InvalidInputError {
  return new InvalidInputError(`Input ${name} ${why}`, [{ path: name, message: why }]);
}
