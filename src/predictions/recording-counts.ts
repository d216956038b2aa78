import { Injectable } from '@nestjs/common';

/** What became of predictions: `predicted = recorded + dropped + waiting` at any moment. */
export interface RecordingState {
  /** Predictions that were to be recorded, failed ones included. */
  readonly predicted: number;
  /** Acknowledged by a majority. */
  readonly recorded: number;
  /** Given up: in mode `durable` their results were withheld. */
  readonly dropped: number;
  readonly waiting: number;
  /** Predictions that were not to be recorded: mode `off`, or not in the sample. */
  readonly unrecorded: number;
  /** Records of an earlier run of the service, found on disk; counted by that run. */
  readonly replayed: number;
  /** Records that this process removed by a setting of their model. */
  readonly removed: number;
}

/**
 * Counts predictions and their records since the service started; nothing leaves the sum unseen.
 */
@Injectable()
export class RecordingCounts {
  private readonly counts = {
    predicted: 0,
    recorded: 0,
    dropped: 0,
    unrecorded: 0,
    replayed: 0,
    removed: 0,
  };

  get state(): RecordingState {
    const { predicted, recorded, dropped } = this.counts;
    return { ...this.counts, waiting: predicted - recorded - dropped };
  }

  add(what: Exclude<keyof RecordingState, 'waiting'>, count = 1): void {
    this.counts[what] += count;
  }
}
