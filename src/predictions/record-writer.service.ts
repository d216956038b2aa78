import { Injectable } from '@nestjs/common';

import { InputsStore } from './inputs.store';
import { type PredictionRecord } from './prediction.doc';
import { PredictionsRepository } from './predictions.repository';

/** Longer than any write takes, and far shorter than the grace before an input is freed. */
const MAX_WRITE_MS = 60_000;

/**
 * Writes a record and its input.
 *
 * Both are written at the same time, since each costs a round trip, and each together with those
 * of other predictions. When one fails the other may stay behind: an input that nothing refers
 * to, or a record of a prediction nobody was told of. Writing the same record again is harmless.
 */
@Injectable()
export class RecordWriter {
  constructor(
    private readonly inputs: InputsStore,
    private readonly predictions: PredictionsRepository,
  ) {}

  /** Returns when a majority holds both; rejects with the failure of one of them. */
  async write(record: PredictionRecord): Promise<void> {
    for (;;) {
      const startedAtMs = performance.now();
      await this.writeOnce(record);
      if (performance.now() - startedAtMs < MAX_WRITE_MS) return;
      // This process stood still in between: an input without a record may have been freed.
      this.inputs.forget(record.input.digest);
    }
  }

  private async writeOnce(record: PredictionRecord): Promise<void> {
    const [input, written] = await Promise.allSettled([
      this.inputs.save(record.input),
      this.predictions.insert(record),
    ]);
    if (input.status === 'rejected') {
      if (written.status === 'fulfilled') {
        // Best effort: a record without its input would look like one that lost it.
        await this.predictions.remove(record.id).catch(() => undefined);
      }
      throw input.reason;
    }
    if (written.status === 'rejected') throw written.reason;
  }
}
