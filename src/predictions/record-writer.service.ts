import { Injectable } from '@nestjs/common';

import { type Outcome } from './group-commit';
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

  /** `write` of many, with the fewest commands. @returns what became of each; never rejects */
  async writeAll(records: readonly PredictionRecord[]): Promise<readonly Outcome<void>[]> {
    for (;;) {
      const startedAtMs = performance.now();
      const outcomes = await this.writeAllOnce(records);
      if (performance.now() - startedAtMs < MAX_WRITE_MS) return outcomes;
      for (const { input } of records) this.inputs.forget(input.digest);
    }
  }

  private async writeAllOnce(
    records: readonly PredictionRecord[],
  ): Promise<readonly Outcome<void>[]> {
    const [failures, written] = await Promise.all([
      this.inputs.saveAll(records.map(({ input }) => input)),
      this.predictions.insertAll(records),
    ]);
    if (failures.size === 0) return written;
    return await Promise.all(
      records.map(async ({ id, input }, place): Promise<Outcome<void>> => {
        const outcome = written[place] ?? { kind: 'done', value: undefined };
        if (!failures.has(input.digest)) return outcome;
        // As in `writeOnce`.
        if (outcome.kind === 'done') await this.predictions.remove(id).catch(() => undefined);
        return { kind: 'failed', cause: failures.get(input.digest) };
      }),
    );
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
