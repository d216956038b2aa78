import { type Binary, type ObjectId } from 'mongodb';

import { type DType, type NamedTensors } from '../common/tensor';
import { type Pair } from '../models/version.doc';
import { type ScoredLabel } from './top-labels';

/** The protocol that a prediction was asked for in. */
export const PROTOCOLS = ['native', 'image', 'tfserving', 'oip', 'mlflow'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export const PREDICTION_STATUSES = ['ok', 'failed'] as const;
export type PredictionStatus = (typeof PREDICTION_STATUSES)[number];

/** What an input is: tensors in the stored form of `tensor-file.ts`, or the bytes as they came. */
export const INPUT_KINDS = ['tensors', 'image', 'rows'] as const;
export type InputKind = (typeof INPUT_KINDS)[number];

export interface TensorHeader {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Lists, not maps: a name is a value here, so no name can be mistaken for an operator or a path. */
export interface StoredTensor extends TensorHeader {
  /** Bytes as in `Tensor.data`. */
  readonly values: Binary;
}

/** What a record says of its input; the bytes stand in `inputs` under the digest. */
export interface InputSummary {
  /** `sha256:<hex>` of the stored bytes. */
  readonly digest: string;
  readonly kind: InputKind;
  readonly bytes: number;
  readonly contentType?: string;
  readonly filename?: string;
  /** Digest of the recipe that made the tensor of an image. */
  readonly recipe?: string;
  readonly tensors?: readonly TensorHeader[];
}

export interface RecordedTimings {
  readonly queueMs: number;
  readonly inferMs: number;
  /** From the request to the moment before the record was written. */
  readonly totalMs: number;
}

/** Collection `predictions`: one prediction, written once. */
export interface PredictionDoc {
  readonly _id: ObjectId;
  readonly model: string;
  readonly version: number;
  /** Digest of the version that answered. */
  readonly digest: string;
  readonly alias?: string;
  readonly protocol: Protocol;
  readonly status: PredictionStatus;
  readonly error?: { readonly code: string; readonly message: string };
  readonly callerId?: string;
  readonly tags: readonly Pair<string>[];
  readonly rows: number;
  readonly input: InputSummary;
  readonly outputs?: readonly StoredTensor[];
  readonly top?: readonly (readonly ScoredLabel[])[];
  /** The best label of each row, each once: what `?label=` searches. */
  readonly labels?: readonly string[];
  readonly timings: RecordedTimings;
  readonly createdAt: Date;
  /** Of a record that came from an export: nobody here saw the prediction. */
  readonly importedAt?: Date;
}

/** Why the bytes of an input are not there any more. */
export interface ErasedNote {
  readonly at: Date;
  readonly reason?: string;
  /** The entry in the audit. */
  readonly auditId: ObjectId;
}

/** Collection `inputs`: the bytes of an input, once for all predictions that were made from it. */
export interface InputDoc {
  /** The digest, `sha256:<hex>`. */
  readonly _id: string;
  readonly kind: InputKind;
  readonly bytes: number;
  readonly contentType: string;
  /** Small inputs stand here, large ones in the bucket `inputs` under `file`. */
  readonly content?: Binary;
  readonly file?: ObjectId;
  /** Its bytes were erased: neither content, nor for long a file, stands here any more. */
  readonly erased?: ErasedNote;
  /** Since when no prediction is known to refer to it; whoever stores it again takes this away. */
  readonly unusedSince?: Date;
  readonly createdAt: Date;
  /** When it was last sent to be stored; nothing is removed that was used a short while ago. */
  readonly usedAt: Date;
}

/** Bytes to be stored as an input, with what records say of them. */
export interface PredictionInput extends Omit<InputSummary, 'contentType'> {
  readonly contentType: string;
  readonly content: Buffer;
}

/** One prediction as it is handed to a recorder. */
export interface PredictionRecord extends Omit<
  PredictionDoc,
  '_id' | 'tags' | 'input' | 'outputs' | 'labels'
> {
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly input: PredictionInput;
  readonly outputs?: NamedTensors;
}
