import { type ArtifactFile } from '../../artifacts/artifact';
import { type Piece, type RoomFor } from '../../artifacts/artifact.store';
import { type NamedTensors, type TensorSpec } from '../../common/tensor';
import { type LoadableVersion } from '../../models/version';

/** Engines an executor can start, in the order in which `auto` prefers them. */
export const ENGINE_NAMES = ['onnx', 'wasm', 'node', 'cpu'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** Where an engine gets the bytes of a version's files, checked against their digests. */
export interface FileSource {
  /** @returns a buffer that holds the file and nothing else */
  read(file: ArtifactFile): Promise<ArrayBuffer>;
  /**
   * The file piece by piece, each put into its room where there is one; fails before its last piece
   * when it is not the file that was stored.
   */
  open(file: ArtifactFile, roomFor?: RoomFor): AsyncIterable<Piece>;
}

/**
 * A library that runs models.
 *
 * A process starts one engine and keeps it. Calls may overlap: an engine runs its tensor work one
 * piece after the other, and only reading from the source goes on beside it.
 */
export interface Engine {
  readonly name: EngineName;
  /** For people: the library, its version, what of the machine it uses. */
  readonly description: string;
  /**
   * @throws ModelUnloadableError when the files are no model that this engine knows
   */
  load(version: LoadableVersion, source: FileSource): Promise<LoadedModel>;
  /** Tensors alive in this process: equal before and after each predict, and after a failed load. */
  tensorCount(): number;
}

/** What a load compiled. */
export interface CompiledAtLoad {
  /** To be stored, so that other loads need not compile. */
  readonly form: Uint8Array;
  /** What was wrong with the stored form, where there was one of this release. */
  readonly damage: string | null;
}

/** One version in the memory of one engine. */
export interface LoadedModel {
  /**
   * What the model itself says it takes, under the names of the version's signature where that has
   * any. What it gives shows when it runs: few graphs know the shapes of their outputs.
   */
  readonly inputs: readonly TensorSpec[];
  /** Bytes of its weights in memory. */
  readonly bytes: number;
  /** What is odd about its weights; only told of a version that never ran before. */
  readonly warnings: readonly string[];
  /** Of a version that the engine had to compile to load it. */
  readonly compiled?: CompiledAtLoad | undefined;
  /**
   * Computes the outputs for one batch. NaN and infinities pass through as they are.
   *
   * @throws InferenceFailedError when the library cannot compute this
   */
  predict(inputs: NamedTensors): Promise<NamedTensors>;
  dispose(): Promise<void>;
}
