import { type ObjectId } from 'mongodb';

/** What turned out to be true of a prediction. */
export interface Truth {
  /** Of classifiers, one label per row. */
  readonly labels?: readonly string[];
  /** Of regressions, flat and row-major; without a name those of the first output. */
  readonly values?: readonly { readonly name?: string; readonly values: readonly number[] }[];
  /** Who says so. */
  readonly source?: string;
}

/** Which predictions a truth is about: one, or all that a model made under a caller's id. */
export type FeedbackTarget =
  { readonly predictionId: string } | { readonly model: string; readonly callerId: string };

export interface GivenTruth extends Truth {
  readonly givenAt: Date;
}

/**
 * Collection `feedback`: all that was said about one target, whether or not such a prediction is
 * known yet. The last one counts.
 */
export interface FeedbackDoc {
  /** `feedbackKey` of the target: what records are joined by. */
  readonly _id: string;
  readonly predictionId?: ObjectId;
  readonly model?: string;
  readonly callerId?: string;
  /** The truth that counts. */
  readonly current: GivenTruth;
  /** Counts from 1. */
  readonly revision: number;
  /** What was said before, oldest first; at most `MAX_HISTORY`. */
  readonly history: readonly GivenTruth[];
}

/** Earlier truths of one target that are kept. */
export const MAX_HISTORY = 100;

/** Model names have no colon, so no two targets share a key. */
export function feedbackKey(target: FeedbackTarget): string {
  return 'predictionId' in target
    ? `prediction:${target.predictionId}`
    : `caller:${target.model}:${target.callerId}`;
}
