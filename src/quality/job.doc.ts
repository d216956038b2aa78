import { type Document, type ObjectId } from 'mongodb';

export const JOB_STATES = ['waiting', 'running', 'done', 'failed', 'cancelled'] as const;
export type JobState = (typeof JOB_STATES)[number];

/** States that a job never leaves. */
export const ENDED: readonly JobState[] = ['done', 'failed', 'cancelled'];

export const JOB_KINDS = ['replay'] as const;
export type JobKind = (typeof JOB_KINDS)[number];

export interface JobProgress {
  readonly done: number;
  readonly total: number;
}

/** Collection `jobs`: work that goes on behind a request and survives the process that began it. */
export interface JobDoc {
  readonly _id: ObjectId;
  readonly kind: JobKind;
  readonly model: string;
  readonly state: JobState;
  /** What it was asked to do, in the words of its kind. */
  readonly params: Document;
  readonly progress: JobProgress;
  /** Where to go on after an interruption, in the words of its kind. */
  readonly checkpoint: Document | null;
  readonly report: Document | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
  /** Who works on it, and until when nobody else may; server time. */
  readonly holder: string | null;
  readonly leaseUntil: Date | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}
