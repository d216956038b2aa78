import { type ArtifactFile, type ArtifactRef } from '../artifacts/artifact';
import { type Signature } from '../common/tensor';
import { type ArtifactFormat } from '../formats/artifact-format';

/**
 * Stored states of a version.
 *
 * ```
 * pending -> verifying -> ready <-> quarantined
 *    |           |          |           |
 *    +-> failed <+          +-----+-----+
 *                                 v
 *                             deleting -> deleted
 * ```
 * Only `ready` serves. A number is never used twice, so a deleted version keeps its document.
 */
export const VERSION_STATES = [
  'pending',
  'verifying',
  'ready',
  'failed',
  'quarantined',
  'deleting',
  'deleted',
] as const;
export type VersionState = (typeof VERSION_STATES)[number];

/** What one engine can do with a version, as measured at its test load. */
export interface EngineReport {
  readonly ok: boolean;
  /** Median milliseconds of one call, by batch size. */
  readonly msPerBatch?: Readonly<Record<string, number>>;
  /** The engine in words: a measurement counts as long as it is still that one. */
  readonly measuredWith?: string;
  /** Of a compiled form: the release of the compiler whose result was proven to compute the same. */
  readonly compiler?: number;
  /** Whether a row's outputs were the same with other rows beside it: then requests share calls. */
  readonly rowsApart?: boolean;
  /** `engine_missing` when the engine was not there to try it. */
  readonly code?: string;
  /** Why the engine cannot run it. */
  readonly reason?: string;
}
export type EngineReports = Readonly<Record<string, EngineReport>>;

/**
 * What an engine made of a version so as to load it from there, once it was proven to compute the
 * same. It names the weights of the version and holds none of them, is no part of its digest, and
 * can be made anew at any time.
 */
export interface CompiledRef {
  readonly engine: 'onnx';
  /** The release of the compiler, which alone can read it. */
  readonly release: number;
  readonly ref: ArtifactRef;
}

/** What stands in for the path of a file that nobody uploaded. */
export function compiledPath(engine: CompiledRef['engine']): string {
  return `.compiled/${engine}`;
}

/** A stored compiled form as one of the files of its version. */
export function compiledFile({ engine, ref }: Pick<CompiledRef, 'engine' | 'ref'>): ArtifactFile {
  return { path: compiledPath(engine), contentType: 'application/json', ref };
}

/** All that a loader needs to know of a version: immutable, and enough to check every byte. */
export interface LoadableVersion {
  readonly model: string;
  readonly version: number;
  /** `sha256:<hex>` of the canonical manifest; equal digests load and predict alike. */
  readonly digest: string;
  readonly format: ArtifactFormat;
  /** Path of the file that a loader starts from, e.g. `model.json`. */
  readonly entry: string;
  readonly signature: Signature;
  readonly files: readonly ArtifactFile[];
  /** Bytes of the weights once they are in memory. */
  readonly loadedBytes: number;
  readonly engines: EngineReports;
  /** Absent until one was proven and stored. */
  readonly compiled?: CompiledRef | undefined;
}
