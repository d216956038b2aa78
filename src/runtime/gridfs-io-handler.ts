import { posix } from 'node:path';

import type { io } from '@tensorflow/tfjs-core';

import { ArtifactCorruptError } from '../artifacts/artifact.errors';
import { type ArtifactFile } from '../artifacts/artifact';
import { type Piece, type RoomFor } from '../artifacts/artifact.store';
import { type LoadableVersion } from '../models/version';
import { type FileSource } from './engines/engine';
import {
  cutWeights,
  type PlacedWeight,
  placeWeights,
  roomFinder,
  type WeightBytes,
  type WeightRooms,
} from './engines/weight-bytes';
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

/** A model without its weights, which come one after the other, once. */
export interface StreamedModel {
  readonly artifacts: io.ModelArtifacts;
  readonly weights: () => AsyncIterable<WeightBytes>;
  /** Decoded straight into where an engine has room for them. */
  readonly place: (rooms: WeightRooms) => AsyncIterable<WeightBytes | PlacedWeight>;
}

/**
 * Loads one stored version as TensorFlow.js model artifacts.
 *
 * `load` is what the library asks of a handler: all weights at once, one buffer per shard, each of
 * which holds its shard and nothing else, since the library takes a buffer from its first byte,
 * whatever view of it was meant. `open` is for engines that put weights where they belong while
 * the next ones travel, and so never hold a file.
 */
export class GridfsIoHandler implements io.IOHandler {
  constructor(
    private readonly version: LoadableVersion,
    private readonly source: FileSource,
  ) {}

  async load(): Promise<io.ModelArtifacts> {
    const { artifacts, shards } = await this.describe();
    const weightData: ArrayBuffer[] = [];
    for (const shard of shards) weightData.push(await this.source.read(shard));
    return { ...artifacts, weightData };
  }

  async open(): Promise<StreamedModel> {
    const { artifacts, shards } = await this.describe();
    const specs = artifacts.weightSpecs ?? [];
    return {
      artifacts,
      weights: () => cutWeights(specs, this.openAll(shards)),
      place: (rooms) => placeWeights(specs, this.openAll(shards, roomFinder(specs, rooms)), rooms),
    };
  }

  /** The shards end to end. */
  private async *openAll(
    shards: readonly ArtifactFile[],
    roomFor?: RoomFor,
  ): AsyncGenerator<Piece> {
    let at = 0;
    for (const shard of shards) {
      const first = at;
      const room: RoomFor = ({ start, end }) =>
        roomFor?.({ start: first + start, end: first + end });
      yield* this.source.open(shard, room);
      at += shard.ref.rawBytes;
    }
  }

  private async describe(): Promise<{
    readonly artifacts: io.ModelArtifacts;
    readonly shards: readonly ArtifactFile[];
  }> {
    const { entry, format } = this.version;
    const json = parseModelJson(await this.source.read(this.fileAt(entry)), entry);
    if (!Array.isArray(json.weightsManifest)) {
      throw new ModelUnloadableError(`${entry} of a ${format} artifact has no weights manifest`);
    }
    const artifacts: Record<string, unknown> = {
      modelTopology: json.modelTopology,
      weightSpecs: json.weightsManifest.flatMap(({ weights }) => weights),
    };
    for (const key of PASSED_ON) {
      if (json[key] !== undefined) artifacts[key] = json[key];
    }
    const shards = json.weightsManifest
      .flatMap(({ paths }) => paths)
      .map((path) => this.fileAt(posix.join(posix.dirname(entry), path)));
    return { artifacts, shards };
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
