import { createRequire } from 'node:module';

import { EngineUnavailableError } from '../runtime.errors';
import { ONNX_PACKAGE } from './installed-engines';

/** Values of the types that compiled models compute with. */
export type OnnxValues = Float32Array | Int32Array | Uint8Array;

export interface OnnxTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: OnnxValues;
}

export interface OnnxSession {
  run(feeds: Readonly<Record<string, OnnxTensor>>): Promise<Readonly<Record<string, OnnxTensor>>>;
  release(): Promise<void>;
}

export interface OnnxSessionOptions {
  readonly intraOpNumThreads: number;
  readonly interOpNumThreads: number;
  readonly executionMode: 'sequential';
  readonly logSeverityLevel: number;
}

/**
 * The part of ONNX Runtime that the engine uses. Written down here, because the package is
 * optional: the service builds and runs without it.
 */
export interface OnnxRuntime {
  readonly Tensor: new (type: string, data: OnnxValues, dims: readonly number[]) => OnnxTensor;
  readonly InferenceSession: {
    create(model: Uint8Array, options: OnnxSessionOptions): Promise<OnnxSession>;
  };
  readonly env: { readonly versions: { readonly node?: string; readonly common: string } };
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
