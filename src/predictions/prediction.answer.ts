import { type DType, type NamedTensors } from '../common/tensor';
import { type FeedbackAnswer } from './feedback.answer';
import {
  type ErasedNote,
  type InputKind,
  type Prediction,
  type PredictionStatus,
  type Protocol,
  type ReadTensor,
  type RecordedTimings,
  type TensorHeader,
} from './prediction.doc';
import { flatJson, type JsonElement } from './tensor-json';
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
  readonly contentType?: string | undefined;
  readonly filename?: string | undefined;
  readonly recipe?: string | undefined;
  readonly tensors?: Readonly<Record<string, TensorAnswer>>;
  /** Its bytes were erased: nothing has values any more. */
  readonly erased?: ErasedAnswer;
}

export interface ErasedAnswer {
  readonly at: string;
  readonly reason?: string;
}

/** What was found where the bytes of the input stand. */
export interface FoundInput {
  readonly values?: NamedTensors;
  readonly erased?: ErasedNote;
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

/** Values come along where they were read: those of the input from `found`, those of outputs from `prediction`. */
export function toPredictionAnswer(
  prediction: Prediction,
  found: FoundInput = {},
): PredictionAnswer {
  const { id, model, version, digest, alias, protocol, status, error, callerId } = prediction;
  const { tags, outputs, top, rows, timings, createdAt, importedAt } = prediction;
  const { tensors, ...summary } = prediction.input;
  return {
    predictionId: id,
    model,
    version,
    digest,
    ...(alias === undefined ? {} : { alias }),
    protocol,
    status,
    ...(error ? { error } : {}),
    ...(callerId === undefined ? {} : { callerId }),
    tags,
    rows,
    input: {
      ...summary,
      ...(tensors ? { tensors: inputTensors(tensors, found.values) } : {}),
      ...(found.erased ? { erased: toErasedAnswer(found.erased) } : {}),
    },
    ...(outputs ? { outputs: outputTensors(outputs) } : {}),
    ...(top ? { top } : {}),
    timings,
    createdAt: createdAt.toISOString(),
    ...(importedAt ? { importedAt: importedAt.toISOString() } : {}),
  };
}

export function toErasedAnswer({ at, reason }: ErasedNote): ErasedAnswer {
  return { at: at.toISOString(), ...(reason === undefined ? {} : { reason }) };
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

function outputTensors(tensors: readonly ReadTensor[]): Readonly<Record<string, TensorAnswer>> {
  return Object.fromEntries(
    tensors.map(({ name, dtype, shape, data }) => [
      name,
      { dtype, shape, ...(data ? { values: flatJson({ dtype, shape, data }) } : {}) },
    ]),
  );
}
