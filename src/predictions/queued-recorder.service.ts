import { setTimeout as delay } from 'node:timers/promises';

import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';

import { LOGGER, type Logger } from '../http/logger';
import { DurableRecorder } from './durable-recorder.service';
import { type PredictionRecord } from './prediction.doc';
import { RecordingQueueFullError } from './predictions.errors';
import { type Recorder } from './recorder';

const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** What one document weighs beside its tensors. */
const RECORD_BYTES = 1024;
const PARALLEL_WRITES = 16;
const RETRY_DELAY_MS = 500;
const SHUTDOWN_MS = 5_000;

/** What became of the records that were taken: `accepted = written + lost + waiting`. */
export interface QueueState {
  readonly accepted: number;
  readonly written: number;
  readonly lost: number;
  readonly waiting: number;
  readonly waitingBytes: number;
}

/**
 * Recording mode `queued`: returns as soon as the record stands in a bounded queue in memory.
 *
 * Records are written soon after and tried again while the database is away. What still waits when
 * the process dies is lost; at an orderly stop the queue is given some seconds to empty, and what
 * does not make it is counted. A full queue refuses instead of dropping.
 */
@Injectable()
export class QueuedRecorder implements Recorder, BeforeApplicationShutdown {
  private readonly queue: PredictionRecord[] = [];
  private waitingBytes = 0;
  private accepted = 0;
  private written = 0;
  private lost = 0;
  private draining: Promise<void> | undefined;
  private giveUpAtMs = Infinity;

  constructor(
    private readonly durable: DurableRecorder,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  get state(): QueueState {
    const { accepted, written, lost, waitingBytes } = this;
    return { accepted, written, lost, waiting: accepted - written - lost, waitingBytes };
  }

  /** @throws RecordingQueueFullError */
  async record(record: PredictionRecord): Promise<void> {
    const bytes = weigh(record);
    if (this.state.waiting >= MAX_WAITING || this.waitingBytes + bytes > MAX_WAITING_BYTES) {
      throw new RecordingQueueFullError(
        'Too many predictions wait to be recorded; try again in a moment',
        { retryAfterSeconds: 1, waiting: this.state.waiting },
      );
    }
    this.queue.push(record);
    this.accepted++;
    this.waitingBytes += bytes;
    this.draining ??= this.drain().finally(() => (this.draining = undefined));
    await Promise.resolve();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.giveUpAtMs = Date.now() + SHUTDOWN_MS;
    await this.draining;
    if (this.lost > 0)
      this.logger.error({ lost: this.lost }, 'queued predictions were not recorded');
  }

  private async drain(): Promise<void> {
    while (this.queue.length > 0) {
      await Promise.all(
        this.queue.splice(0, PARALLEL_WRITES).map(async (record) => {
          await this.write(record);
        }),
      );
    }
  }

  private async write(record: PredictionRecord): Promise<void> {
    for (;;) {
      if (Date.now() >= this.giveUpAtMs) {
        this.lost++;
        break;
      }
      try {
        await this.durable.record(record);
        this.written++;
        break;
      } catch (error) {
        this.logger.warn({ err: error }, 'a queued prediction is not recorded yet; trying again');
        await delay(RETRY_DELAY_MS);
      }
    }
    this.waitingBytes -= weigh(record);
  }
}

function weigh({ input, outputs = {} }: PredictionRecord): number {
  return Object.values(outputs).reduce(
    (bytes, { data }) => bytes + data.byteLength,
    input.bytes + RECORD_BYTES,
  );
}
