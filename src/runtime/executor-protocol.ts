import {
  type ArtifactFile,
  type ArtifactRef,
  type BlobRef,
  blobRefOf,
  type SegmentRef,
} from '../artifacts/artifact';
import { ArtifactCorruptError } from '../artifacts/artifact.errors';
import { StoreError } from '../common/errors';
import { RelayedError, toWire, type WireError } from '../common/relayed-error';
import { type DType, type NamedTensors, type Tensor, type TensorSpec } from '../common/tensor';
import { type CompiledRef, type LoadableVersion } from '../models/version';
import { type StackedTensor, type StackedTensors } from './batch';
import { type CompiledAtLoad, type EngineName } from './engines/engine';
import {
  EngineUnavailableError,
  InferenceFailedError,
  ModelUnloadableError,
  TensorMismatchError,
} from './runtime.errors';

/** A blob as it crosses the socket: JSON knows no ObjectId. */
export type WireBlob = Omit<BlobRef, 'blob'> & { readonly blob: string };
export type WireSegment = WireBlob & { readonly base?: WireBlob };
export type WireRef = Omit<ArtifactRef, 'segments'> & { readonly segments: readonly WireSegment[] };
export type WireFile = Omit<ArtifactFile, 'ref'> & { readonly ref: WireRef };
export type WireVersion = Omit<LoadableVersion, 'files' | 'compiled'> & {
  readonly files: readonly WireFile[];
  readonly compiled?: Omit<CompiledRef, 'ref'> & { readonly ref: WireRef };
};

/** Where an executor reads artifacts; without it the files come with each load. */
export interface ExecutorDatabase {
  readonly uri: string;
  readonly db: string;
}

/** What a process asks of its executor. Payloads: the tensors of `predict`, the files of `load`. */
export type ExecutorRequest =
  | {
      readonly kind: 'start';
      readonly engine: EngineName;
      /** How many one call may compute on, for engines that have a choice. */
      readonly threads: number;
      readonly database: ExecutorDatabase | null;
      /** Where files may be put for the moment, by engines that open models by their path. */
      readonly scratchDir: string;
    }
  | {
      readonly kind: 'load';
      readonly version: WireVersion;
      /** Lengths of the files in the payload, in the order of `version.files`; null: from the database. */
      readonly fileBytes: readonly number[] | null;
    }
  | { readonly kind: 'predict'; readonly key: string; readonly tensors: readonly WireTensor[] }
  | { readonly kind: 'unload'; readonly key: string }
  | { readonly kind: 'stats' };

export interface ExecutorReplies {
  readonly start: { readonly description: string; readonly pid: number };
  readonly load: {
    readonly bytes: number;
    readonly inputs: readonly TensorSpec[];
    /** Paths of the files that were read for it and compared with their digests. */
    readonly readPaths: readonly string[];
    readonly warnings: readonly string[];
    /** When it was compiled for this load; the form is the payload. */
    readonly compiled: Pick<CompiledAtLoad, 'damage'> | null;
    readonly vitals: Vitals;
  };
  readonly predict: {
    readonly tensors: readonly WireTensor[];
    readonly inferMs: number;
    readonly vitals: Vitals;
  };
  readonly unload: Readonly<Record<string, never>>;
  readonly stats: ExecutorStats;
}

/** What an executor says of itself with each reply, so that nobody has to wait for asking. */
export interface Vitals {
  readonly tensors: number;
  /** At most a second old. */
  readonly rssBytes: number;
}

export interface ExecutorStats extends Vitals {
  readonly versions: readonly string[];
}

export type Numbered<T> = T & { readonly id: number };
export type ExecutorReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: WireError };

/** A tensor without its bytes, which stand in the payload in the same order, each at a multiple of 8. */
export interface WireTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** Names a version within the executors of one service. */
export function versionKey({ model, version }: { model: string; version: number }): string {
  return `${model}/${version}`;
}

const ALIGNMENT = 8;
const PADDING = new Uint8Array(ALIGNMENT);

/** Headers and payload parts of tensors, `decodeTensors` being the inverse. */
export function encodeTensors(tensors: NamedTensors | StackedTensors): {
  readonly headers: readonly WireTensor[];
  readonly payload: readonly Uint8Array[];
} {
  const headers: WireTensor[] = [];
  const payload: Uint8Array[] = [];
  for (const [name, { dtype, shape, data }] of Object.entries<Tensor | StackedTensor>(tensors)) {
    const parts = data instanceof Uint8Array ? [data] : data;
    const bytes = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
    headers.push({ name, dtype, shape, bytes });
    payload.push(...parts, PADDING.subarray(0, padding(bytes)));
  }
  return { headers, payload };
}

/** The tensors are views of the payload. */
export function decodeTensors(headers: readonly WireTensor[], payload: Uint8Array): NamedTensors {
  const tensors: Record<string, Tensor> = {};
  let at = 0;
  for (const { name, dtype, shape, bytes } of headers) {
    tensors[name] = { dtype, shape, data: payload.subarray(at, at + bytes) };
    at += bytes + padding(bytes);
  }
  return tensors;
}

function padding(bytes: number): number {
  return (ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT;
}

export function toWireVersion(version: LoadableVersion): WireVersion {
  const { files, compiled, ...rest } = version;
  return {
    ...rest,
    files: files.map(({ ref, ...file }) => ({ ...file, ref: toWireRef(ref) })),
    ...(compiled ? { compiled: { ...compiled, ref: toWireRef(compiled.ref) } } : {}),
  };
}

function toWireRef(ref: ArtifactRef): WireRef {
  return { ...ref, segments: ref.segments.map(toWireSegment) };
}

function toWireSegment({ base, ...segment }: SegmentRef): WireSegment {
  return { ...toWireBlob(segment), ...(base ? { base: toWireBlob(base) } : {}) };
}

function toWireBlob(ref: BlobRef): WireBlob {
  return { ...blobRefOf(ref), blob: ref.blob.toHexString() };
}

export function toWireError(error: unknown): WireError {
  if (error instanceof StoreError) return toWire(error);
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'unavailable', code: 'executor_failed', message, details: {} };
}

/** Failures of an executor that callers here tell apart by class. */
const KNOWN = new Map(
  [
    ArtifactCorruptError,
    EngineUnavailableError,
    InferenceFailedError,
    ModelUnloadableError,
    TensorMismatchError,
  ].map((type) => [new type('').code as string, type]),
);

export function fromWireError(error: WireError): StoreError {
  const type = KNOWN.get(error.code);
  // Others have no class of their own here, e.g. that the executor's database is away.
  return type ? new type(error.message, error.details) : new RelayedError(error);
}
