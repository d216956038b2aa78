import { Injectable } from '@nestjs/common';

import { InputsStore } from './inputs.store';
import { type PredictionRecord } from './prediction.doc';
import { RecordingUnavailableError } from './predictions.errors';
import { PredictionsRepository } from './predictions.repository';
import { type Recorder } from './recorder';

/**
 * Recording mode `durable`: returns when a majority holds both the record and its input.
 *
 * Both are written at the same time, since each costs a round trip. When one fails the other may
 * stay behind: an input that nothing refers to, or a record of a prediction nobody was told of.
 */
@Injectable()
export class DurableRecorder implements Recorder {
  constructor(
    private readonly inputs: InputsStore,
    private readonly predictions: PredictionsRepository,
  ) {}

  /** @throws RecordingUnavailableError */
  async record(record: PredictionRecord): Promise<void> {
    const [input, written] = await Promise.allSettled([
      this.inputs.save(record.input),
      this.predictions.insert(record),
    ]);
    if (input.status === 'fulfilled' && written.status === 'fulfilled') return;
    if (written.status === 'fulfilled') {
      // Best effort: a record without its input would look like one that lost it.
      await this.predictions.remove(record.id).catch(() => undefined);
    }
    throw new RecordingUnavailableError(
      'The prediction could not be recorded, so its result is withheld; try again in a moment',
      { retryAfterSeconds: 1 },
      { cause: input.status === 'rejected' ? input.reason : reasonOf(written) },
    );
  }
}

function reasonOf(result: PromiseSettledResult<void>): unknown {
  return result.status === 'rejected' ? result.reason : undefined;
}
