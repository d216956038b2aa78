import { Injectable } from '@nestjs/common';

import { DONE, GroupCommit, INSERT_LIMITS, type Outcome } from './group-commit';
import { INLINE_BYTES, InputsStore } from './inputs.store';
import { type PredictionRecord } from './prediction.doc';
import { PredictionsRepository, weighDoc } from './predictions.repository';

/** Longer than any write takes, and far shorter than the grace before an input is freed. */
const MAX_WRITE_MS = 60_000;

/**
 * Writes a record and its input.
 *
 * Both are written at the same time, since each costs a round trip, and together with those of
 * other predictions. When one fails the other may stay behind: an input that nothing refers to, or
 * a record of a prediction nobody was told of. Writing the same record again is harmless.
 */
@Injectable()
export class RecordWriter {
  private readonly groups = new GroupCommit<PredictionRecord>(
    async (records) => await this.writeAll(records),
    INSERT_LIMITS,
  );

  constructor(
    private readonly inputs: InputsStore,
    private readonly predictions: PredictionsRepository,
  ) {}

  /** Returns when a majority holds both; rejects with the failure of one of them. */
  async write(record: PredictionRecord): Promise<void> {
    if (record.input.bytes <= INLINE_BYTES) {
      await this.groups.add(record, weighRecord(record));
      return;
    }
    // Nobody else is to wait for an input that takes many commands.
    const [outcome = DONE] = await this.writeAll([record]);
    if (outcome.kind === 'failed') throw outcome.cause;
  }

  /** `write` of many, with the fewest commands. @returns what became of each; never rejects */
  async writeAll(records: readonly PredictionRecord[]): Promise<readonly Outcome<void>[]> {
    for (;;) {
      const startedAtMs = performance.now();
      const outcomes = await this.writeOnce(records);
      if (performance.now() - startedAtMs < MAX_WRITE_MS) return outcomes;
      // This process stood still in between: an input without a record may have been freed.
      for (const { input } of records) this.inputs.forget(input.digest);
    }
  }

  private async writeOnce(records: readonly PredictionRecord[]): Promise<readonly Outcome<void>[]> {
    const [failures, written] = await Promise.all([
      this.inputs.saveAll(records.map(({ input }) => input)),
      this.predictions.insertAll(records),
    ]);
    if (failures.size === 0) return written;
    return await Promise.all(
      records.map(async ({ id, input }, place): Promise<Outcome<void>> => {
        const outcome = written[place] ?? DONE;
        if (!failures.has(input.digest)) return outcome;
        // Best effort: a record without its input would look like one that lost it.
        if (outcome.kind === 'done') await this.predictions.remove(id).catch(() => undefined);
        return { kind: 'failed', cause: failures.get(input.digest) };
      }),
    );
  }
}

/** About what a record and its input take, without encoding them. */
export function weighRecord(record: PredictionRecord): number {
  return record.input.bytes + weighDoc(record);
}
