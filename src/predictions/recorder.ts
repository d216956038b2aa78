import { Injectable } from '@nestjs/common';

import { type PredictionRecord } from './prediction.doc';
import { RecordingCounts } from './recording-counts';

/**
 * Keeps what was predicted.
 *
 * When `record` returns, the recorder stands for the record as its mode promises; when it throws,
 * the result must not be given out.
 */
export interface Recorder {
  record(record: PredictionRecord): Promise<void>;
}

/** For predictions that are not to be kept: they are counted. */
@Injectable()
export class NoRecorder implements Recorder {
  constructor(private readonly counts: RecordingCounts) {}

  async record(): Promise<void> {
    this.counts.add('unrecorded');
    await Promise.resolve();
  }
}
