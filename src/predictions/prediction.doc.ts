import { type ObjectId } from 'mongodb';

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

/** What a record says of its input; the bytes stand in `inputs` under the digest. */
export interface InputSummary {
  /** `sha256:<hex>` of the stored bytes. */
  readonly digest: string;
  readonly kind: InputKind;
  readonly bytes: number;
  readonly contentType?: string | undefined;
  readonly filename?: string | undefined;
  /** Digest of the recipe that made the tensor of an image. */
  readonly recipe?: string | undefined;
  readonly tensors?: readonly TensorHeader[] | undefined;
}

/** Bytes to be stored as an input, with what records say of them. */
export interface PredictionInput extends Omit<InputSummary, 'contentType'> {
  readonly contentType: string;
  readonly content: Buffer;
}

export interface RecordedTimings {
  readonly queueMs: number;
  readonly inferMs: number;
  /** From the request to the moment before the record was written. */
  readonly totalMs: number;
}

/** One prediction as it is handed to a recorder. */
export interface PredictionRecord {
  readonly id: string;
  readonly model: string;
  readonly version: number;
  /** Digest of the version that answered. */
  readonly digest: string;
  readonly alias?: string | undefined;
  readonly protocol: Protocol;
  readonly status: PredictionStatus;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  readonly callerId?: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly rows: number;
  readonly input: PredictionInput;
  readonly outputs?: NamedTensors | undefined;
  readonly top?: readonly (readonly ScoredLabel[])[] | undefined;
  /** Kept to the microsecond. */
  readonly timings: RecordedTimings;
  readonly createdAt: Date;
  /** Of a record that came from an export: nobody here saw the prediction. */
  readonly importedAt?: Date;
}

/** An output as it is read: lists leave the values in the database. */
export interface ReadTensor extends TensorHeader {
  /** Bytes as in `Tensor.data`. */
  readonly data?: Uint8Array;
}

/** A record as it is read. */
export interface Prediction extends Omit<PredictionRecord, 'input' | 'outputs'> {
  readonly input: InputSummary;
  readonly outputs?: readonly ReadTensor[];
}

/**
 * Collection `predictions`: one prediction, written once, in the form that `prediction-form.ts`
 * writes and reads. What is `undefined` is not written.
 *
 * Records are many and small, so what is the same in nearly all of them is left out, digests are
 * bytes, and a tensor is described in one text. Lists, not maps: a name is a value here, so no name
 * can be mistaken for an operator or a path.
 */
export interface PredictionDoc {
  readonly _id: ObjectId;
  readonly model: string;
  readonly version: number;
  /** The SHA-256 behind the digest of the version. */
  readonly digest: Uint8Array;
  readonly alias?: string | undefined;
  /** Left out: `native`. */
  readonly protocol?: Protocol | undefined;
  readonly status: PredictionStatus;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  readonly callerId?: string | undefined;
  /** Left out: none. */
  readonly tags?: readonly Pair<string>[] | undefined;
  readonly rows: number;
  readonly input: {
    /** The SHA-256 of the stored bytes: `_id` in `inputs`. */
    readonly digest: Uint8Array;
    /** Left out: `tensors`. */
    readonly kind?: InputKind | undefined;
    readonly bytes: number;
    /** Left out: `application/octet-stream`. */
    readonly contentType?: string | undefined;
    readonly filename?: string | undefined;
    readonly recipe?: string | undefined;
    /** Each as `float32[1,30] name`. */
    readonly tensors?: readonly string[] | undefined;
  };
  readonly outputs?:
    readonly { readonly tensor: string; readonly values: Uint8Array }[] | undefined;
  /** Per row labels and their scores in turn, best first. */
  readonly top?: readonly (readonly (string | number)[])[] | undefined;
  /** The best label of each row, each once: what `?label=` searches. */
  readonly labels?: readonly string[] | undefined;
  /** Whole microseconds: queue, inference, everything. */
  readonly timingsUs: readonly number[];
  readonly createdAt: Date;
  readonly importedAt?: Date | undefined;
}

/** Why the bytes of an input are not there any more. */
export interface ErasedNote {
  readonly at: Date;
  readonly reason?: string;
  /** The entry in the audit. */
  readonly auditId: ObjectId;
}

/** The bytes of an input, once for all predictions that were made from it. */
export interface StoredInput {
  readonly digest: string;
  readonly kind: InputKind;
  readonly bytes: number;
  readonly contentType: string;
  /** Small inputs stand here, large ones in the bucket `inputs` under `file`. */
  readonly content?: Buffer;
  readonly file?: ObjectId;
  /** Its bytes were erased: neither content, nor for long a file, stands here any more. */
  readonly erased?: ErasedNote;
}

/** Collection `inputs`: a stored input in the form that `input-form.ts` writes and reads. */
export interface InputDoc {
  /** The SHA-256 of its bytes. */
  readonly _id: Uint8Array;
  /** Left out: `tensors`. */
  readonly kind?: InputKind | undefined;
  readonly bytes: number;
  /** Left out: `application/octet-stream`. */
  readonly contentType?: string | undefined;
  /** Of a tensor file whose `content` stands here without the header that follows from these. */
  readonly tensors?: readonly string[] | undefined;
  readonly content?: Uint8Array | undefined;
  readonly file?: ObjectId | undefined;
  readonly erased?: ErasedNote | undefined;
  /** Since when no prediction is known to refer to it; whoever stores it again takes this away. */
  readonly unusedSince?: Date;
  /** When it was sent to be stored although it was. */
  readonly usedAt?: Date;
}
