import { createRequire } from 'node:module';

import { EngineUnavailableError } from '../runtime.errors';
import { ONNX_PACKAGE } from './installed-engines';

/** Values of the types that models can take and give; half floats by their bits. */
export type OnnxValues =
  | Float32Array
  | Float64Array
  | Uint16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | readonly string[];

export interface OnnxTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: OnnxValues;
}

export interface OnnxSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly {
    readonly name: string;
    /** Open dimensions by a name, or negative. */
    readonly shape?: readonly (number | string)[];
  }[];
  /** An input as `run` takes it. */
  tensor(type: string, data: OnnxValues, dims: readonly number[]): OnnxTensor;
  run(
    feeds: Readonly<Record<string, OnnxTensor>>,
  ): Readonly<Record<string, OnnxTensor>> | Promise<Readonly<Record<string, OnnxTensor>>>;
  release(): Promise<void> | void;
}

export interface OnnxSessionOptions {
  readonly intraOpNumThreads: number;
  readonly interOpNumThreads: number;
  readonly executionMode: 'sequential';
  readonly logSeverityLevel: number;
  readonly extra: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/**
 * The part of ONNX Runtime that the engine uses. Written down here, because the package is
 * optional: the service builds and runs without it.
 */
export interface OnnxRuntime {
  readonly Tensor: new (type: string, data: OnnxValues, dims: readonly number[]) => OnnxTensor;
  readonly InferenceSession: {
    create(model: Uint8Array, options: OnnxSessionOptions): Promise<Omit<OnnxSession, 'tensor'>>;
  };
  readonly env: { readonly versions: { readonly node?: string; readonly common: string } };
}

/** What the package itself calls; written down for the same reason. */
interface OnnxBinding {
  readonly binding: { readonly InferenceSession: new () => BindingSession };
  initOrt(): void;
}

interface BindingSession {
  readonly inputMetadata: readonly BindingMetadata[];
  readonly outputMetadata: readonly BindingMetadata[];
  loadModel(
    memory: ArrayBufferLike,
    offset: number,
    length: number,
    options: OnnxSessionOptions,
  ): void;
  run(
    feeds: Readonly<Record<string, OnnxTensor>>,
    fetches: Readonly<Record<string, null>>,
  ): Readonly<Record<string, OnnxTensor>>;
  dispose(): void;
}

interface BindingMetadata {
  readonly name: string;
  /** Absent for what is no tensor; -1 where a dimension is open. */
  readonly shape?: readonly number[];
}

/**
 * Opens a model for calls that answer at once.
 *
 * The package's own `run` first waits for a turn of the event loop, in which other work comes
 * first: several times what a small model computes. An executor computes one call at a time and
 * blocks in either case. A package that is laid out in another way is used as documented.
 *
 * @throws Error of the library for a model that it does not load
 */
export async function openSession(
  runtime: OnnxRuntime,
  model: Uint8Array,
  options: OnnxSessionOptions,
): Promise<OnnxSession> {
  const native = findBinding();
  if (!native) return await openAsDocumented(runtime, model, options);
  native.initOrt();
  const session = new native.binding.InferenceSession();
  session.loadModel(model.buffer, model.byteOffset, model.byteLength, options);
  const outputNames = session.outputMetadata.map(({ name }) => name);
  const fetches = Object.fromEntries(outputNames.map((name) => [name, null]));
  return {
    inputNames: session.inputMetadata.map(({ name }) => name),
    outputNames,
    inputMetadata: session.inputMetadata,
    // The native session reads these four; making one of the package's tensors costs more than that.
    tensor: (type, data, dims) => ({ type, data, dims, location: 'cpu' }),
    // Without options it uses its own, made once.
    run: (feeds) => session.run(feeds, fetches),
    release() {
      session.dispose();
    },
  };
}

async function openAsDocumented(
  runtime: OnnxRuntime,
  model: Uint8Array,
  options: OnnxSessionOptions,
): Promise<OnnxSession> {
  const session = await runtime.InferenceSession.create(model, options);
  const { inputNames, outputNames, inputMetadata } = session;
  return {
    ...{ inputNames, outputNames, inputMetadata },
    tensor: (type, data, dims) => new runtime.Tensor(type, data, dims),
    run: async (feeds) => await session.run(feeds),
    async release() {
      await session.release();
    },
  };
}

function findBinding(): OnnxBinding | undefined {
  try {
    return createRequire(__filename)(`${ONNX_PACKAGE}/dist/binding`) as OnnxBinding;
  } catch {
    return undefined;
  }
}

/** A file and a function of the library itself, e.g. `/onnxruntime_src/…/x.cc:360 void* f(int) `. */
const OWN_PLACES = /\/onnxruntime_src\/\S+ (?:[\w:<>*&, ]+\([^)]*\) )?/g;

/** What a message of the library says, without places in its own source. */
export function firstLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return (text.split('\n', 1)[0] ?? '').replaceAll(OWN_PLACES, '').slice(0, 500);
}

/** @throws EngineUnavailableError when the package is not there, or not for this machine */
export function requireOnnxRuntime(): OnnxRuntime {
  try {
    return createRequire(__filename)(ONNX_PACKAGE) as OnnxRuntime;
  } catch (cause) {
    const reason = String(cause instanceof Error ? cause.message : cause).split('\n', 1)[0] ?? '';
    throw new EngineUnavailableError(
      `The onnx engine needs ${ONNX_PACKAGE}, which does not load: ${reason}`,
      {},
      { cause },
    );
  }
}
