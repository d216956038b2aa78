import { type DType, type NamedTensors } from '../common/tensor';
import { fromPairs } from '../models/version.doc';
import { type FeedbackAnswer } from './feedback.answer';
import {
  type InputKind,
  type PredictionDoc,
  type PredictionStatus,
  type Protocol,
  type RecordedTimings,
  type StoredTensor,
  type TensorHeader,
} from './prediction.doc';
import { flatJson, type JsonElement } from './tensor-values';
import { type ScoredLabel } from './top-labels';

/** A tensor as a record shows it: `values` flat and row-major, absent in lists. */
export interface TensorAnswer {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values?: readonly JsonElement[];
}

export interface InputAnswer {
  readonly digest: string;
  readonly kind: InputKind;
  readonly bytes: number;
  readonly contentType?: string;
  readonly filename?: string;
  readonly recipe?: string;
  readonly tensors?: Readonly<Record<string, TensorAnswer>>;
}

/** A prediction as the API shows it. */
export interface PredictionAnswer {
  readonly predictionId: string;
  readonly model: string;
  readonly version: number;
  readonly digest: string;
  readonly alias?: string;
  readonly protocol: Protocol;
  readonly status: PredictionStatus;
  readonly error?: { readonly code: string; readonly message: string };
  readonly callerId?: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly rows: number;
  readonly input: InputAnswer;
  readonly outputs?: Readonly<Record<string, TensorAnswer>>;
  readonly top?: readonly (readonly ScoredLabel[])[];
  readonly timings: RecordedTimings;
  readonly createdAt: string;
  readonly importedAt?: string;
  readonly feedback?: FeedbackAnswer;
}

/** Values come along where they were read: those of the input from `input`, those of outputs from `doc`. */
export function toPredictionAnswer(doc: PredictionDoc, input?: NamedTensors): PredictionAnswer {
  const { model, version, digest, alias, protocol, status, error, callerId } = doc;
  const { outputs, top, rows, timings } = doc;
  const { tensors, ...summary } = doc.input;
  return {
    predictionId: doc._id.toHexString(),
    model,
    version,
    digest,
    ...(alias === undefined ? {} : { alias }),
    protocol,
    status,
    ...(error ? { error } : {}),
    ...(callerId === undefined ? {} : { callerId }),
    tags: fromPairs(doc.tags),
    rows,
    input: { ...summary, ...(tensors ? { tensors: inputTensors(tensors, input) } : {}) },
    ...(outputs ? { outputs: outputTensors(outputs) } : {}),
    ...(top ? { top } : {}),
    timings,
    createdAt: doc.createdAt.toISOString(),
    ...(doc.importedAt ? { importedAt: doc.importedAt.toISOString() } : {}),
  };
}

function inputTensors(
  headers: readonly TensorHeader[],
  values: NamedTensors = {},
): Readonly<Record<string, TensorAnswer>> {
  return Object.fromEntries(
    headers.map(({ name, dtype, shape }) => {
      const tensor = values[name];
      return [name, { dtype, shape, ...(tensor ? { values: flatJson(tensor) } : {}) }];
    }),
  );
}

/** Lists leave the values in the database, whatever the type says. */
function outputTensors(
  tensors: readonly (TensorHeader & Partial<StoredTensor>)[],
): Readonly<Record<string, TensorAnswer>> {
  return Object.fromEntries(
    tensors.map(({ name, dtype, shape, values }) => {
      if (!values) return [name, { dtype, shape }];
      const data = values.buffer.subarray(0, values.position);
      return [name, { dtype, shape, values: flatJson({ dtype, shape, data }) }];
    }),
  );
}
