import { Injectable } from '@nestjs/common';

import { type PredictionRecord } from './prediction.doc';
import { RecordingUnavailableError } from './predictions.errors';
import { RecordWriter } from './record-writer.service';
import { type Recorder } from './recorder';
import { RecordingCounts } from './recording-counts';

/** Recording mode `durable`: returns when a majority holds both the record and its input. */
@Injectable()
export class DurableRecorder implements Recorder {
  constructor(
    private readonly writer: RecordWriter,
    private readonly counts: RecordingCounts,
  ) {}

  /** @throws RecordingUnavailableError */
  async record(record: PredictionRecord): Promise<void> {
    this.counts.add('predicted');
    try {
      await this.writer.write(record);
    } catch (cause) {
      this.counts.add('dropped');
      throw new RecordingUnavailableError(
        'The prediction could not be recorded, so its result is withheld; try again in a moment',
        { retryAfterSeconds: 1 },
        { cause },
      );
    }
    this.counts.add('recorded');
  }
}
