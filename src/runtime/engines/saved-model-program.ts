import { posix } from 'node:path';

import type { NamedTensorMap, Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { type Signature, type TensorSpec } from '../../common/tensor';
import { readSavedModel } from '../../formats/saved-model/read-saved-model';
import { servedSignature } from '../../formats/saved-model/inspect-saved-model';
import { type LoadableVersion } from '../../models/version';
import { ModelUnloadableError } from '../runtime.errors';
import { type FileSource } from './engine';
import { ScratchFolder } from './scratch-folder';
import { type TfjsProgram } from './tfjs-program';

/** A SavedModel as the native library holds it: one session in its own memory. */
export interface NativeSavedModel {
  predict(inputs: NamedTensorMap): NamedTensorMap;
  dispose(): void;
}

/** Opens the SavedModel in a folder. */
export type OpenSavedModel = (
  folder: string,
  tags: string[],
  signature: string,
) => Promise<NativeSavedModel>;

/** A SavedModel: TensorFlow runs its graph as a whole, in one call. */
export class SavedModelProgram implements TfjsProgram {
  readonly inputs: readonly TensorSpec[];

  constructor(
    private readonly model: NativeSavedModel,
    private readonly signature: Signature,
  ) {
    this.inputs = signature.inputs;
  }

  async run(inputs: Readonly<Record<string, TfTensor>>): Promise<Record<string, TfTensor>> {
    const outputs = this.model.predict({ ...inputs });
    return await Promise.resolve(
      Object.fromEntries(
        this.signature.outputs.flatMap(({ name }) => {
          const tensor = outputs[name];
          return tensor ? [[name, tensor] as const] : [];
        }),
      ),
    );
  }

  dispose(): void {
    this.model.dispose();
  }
}

/**
 * Loads a SavedModel from the database by way of a private folder, which is gone afterwards: the
 * library reads everything while it opens the model.
 */
export async function loadSavedModel(
  { entry, files, signature }: LoadableVersion,
  source: FileSource,
  scratchDir: string,
  open: OpenSavedModel,
): Promise<SavedModelProgram> {
  const root = posix.dirname(entry);
  const parts = files.filter(({ path }) => root === '.' || path.startsWith(`${root}/`));
  const graph = parts.find(({ path }) => path === entry);
  if (!graph) throw new ModelUnloadableError(`The version has no file ${entry}`);
  const read = readSavedModel(new Uint8Array(await source.read(graph)));
  const [name] = servedSignature(read) ?? [];
  if (name === undefined) throw new ModelUnloadableError(`${entry} has no signature to serve`);
  const folder = await ScratchFolder.make(scratchDir);
  try {
    await folder.write(parts, root, source);
    const model = await open(folder.path, [...read.tags], name).catch((cause: unknown) => {
      // Where the files lie is nobody's business but ours.
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new ModelUnloadableError(
        `TensorFlow cannot open the SavedModel: ${text.replaceAll(folder.path, '').slice(0, 500)}`,
        {},
        { cause },
      );
    });
    try {
      await folder.assertUnchanged();
    } catch (error) {
      model.dispose();
      throw error;
    }
    return new SavedModelProgram(model, signature);
  } finally {
    await folder.remove();
  }
}
