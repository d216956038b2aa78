import { posix } from 'node:path';

import type { io } from '@tensorflow/tfjs-core';

import { ArtifactCorruptError } from '../artifacts/artifact.errors';
import { type ArtifactFile } from '../artifacts/artifact';
import { type LoadableVersion } from '../models/version';
import { type FileSource } from './engines/engine';
import { ModelUnloadableError } from './runtime.errors';

/** The parts of `model.json`, weights and topology aside, that TensorFlow.js takes and gives as they are. */
export const PASSED_ON = [
  'format',
  'generatedBy',
  'convertedBy',
  'signature',
  'userDefinedMetadata',
  'modelInitializer',
  'initializerSignature',
  'trainingConfig',
] as const;

/**
 * Loads one stored version as TensorFlow.js model artifacts.
 *
 * Weights come as one buffer per shard, each of which holds its shard and nothing else: the library
 * takes a buffer from its first byte, whatever view of it was meant. Every byte was compared with
 * its digest before any is handed over.
 */
export class GridfsIoHandler implements io.IOHandler {
  constructor(
    private readonly version: LoadableVersion,
    private readonly source: FileSource,
  ) {}

  async load(): Promise<io.ModelArtifacts> {
    const { entry, format } = this.version;
    const json = parseModelJson(await this.source.read(this.fileAt(entry)), entry);
    if (!Array.isArray(json.weightsManifest)) {
      throw new ModelUnloadableError(`${entry} of a ${format} artifact has no weights manifest`);
    }
    const weightData: ArrayBuffer[] = [];
    for (const path of json.weightsManifest.flatMap(({ paths }) => paths)) {
      weightData.push(await this.source.read(this.fileAt(posix.join(posix.dirname(entry), path))));
    }
    const artifacts: Record<string, unknown> = {
      modelTopology: json.modelTopology,
      weightSpecs: json.weightsManifest.flatMap(({ weights }) => weights),
      weightData,
    };
    for (const key of PASSED_ON) {
      if (json[key] !== undefined) artifacts[key] = json[key];
    }
    return artifacts;
  }

  private fileAt(path: string): ArtifactFile {
    const file = this.version.files.find((candidate) => candidate.path === path);
    if (!file) {
      const { model, version } = this.version;
      throw new ArtifactCorruptError(`Version ${version} of ${model} has no file ${path}`, {
        model,
        version,
        path,
      });
    }
    return file;
  }
}

function parseModelJson(bytes: ArrayBuffer, path: string): io.ModelJSON {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as io.ModelJSON;
  } catch (cause) {
    throw new ModelUnloadableError(`${path} is not JSON`, { path }, { cause });
  }
}
