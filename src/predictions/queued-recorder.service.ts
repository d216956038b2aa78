import { setTimeout as delay } from 'node:timers/promises';

import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';

import { LOGGER, type Logger } from '../http/logger';
import { DatabaseService } from '../mongo/database.service';
import { DocumentRefusedError } from '../mongo/mongo.errors';
import { type PredictionRecord } from './prediction.doc';
import { RecordingQueueFullError, RecordingUnavailableError } from './predictions.errors';
import { RecordWriter } from './record-writer.service';
import { type Recorder } from './recorder';
import { RecordingCounts } from './recording-counts';
import {
  type JournalledRecord,
  type JournalPlace,
  RecordingJournal,
} from './recording-journal.store';

const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** What one document weighs beside its tensors. */
const RECORD_BYTES = 1024;
const PARALLEL_WRITES = 500;
const RETRY_DELAY_MS = 500;
const SHUTDOWN_MS = 5_000;

/** What waits for the database, records of an earlier run included. */
export interface QueueState {
  readonly waiting: number;
  readonly waitingBytes: number;
}

/**
 * Recording mode `queued`: returns as soon as the record stands in the journal on disk.
 *
 * Records are written to the database soon after and tried again while it is away. What waits when
 * the process dies, or when the time of an orderly stop is over, is written by the next start. The
 * queue is bounded: a full one refuses, it never drops. A record that the database refuses for what
 * it is would block the queue for good: it is logged and counted as dropped.
 */
@Injectable()
export class QueuedRecorder implements Recorder, OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly queue: JournalledRecord[] = [];
  private waiting = 0;
  private waitingBytes = 0;
  private draining: Promise<void> | undefined;
  private giveUpAtMs = Infinity;
  /** Records of earlier runs: counted there, so not again when they are written. */
  private readonly replayed = new WeakSet<JournalPlace>();

  constructor(
    private readonly writer: RecordWriter,
    private readonly journal: RecordingJournal,
    private readonly counts: RecordingCounts,
    @Inject(DatabaseService) private readonly database: Pick<DatabaseService, 'health'>,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  get state(): QueueState {
    return { waiting: this.waiting, waitingBytes: this.waitingBytes };
  }

  onApplicationBootstrap(): void {
    this.replay().catch((error: unknown) => {
      this.logger.error({ err: error }, 'records of an earlier run could not be read');
    });
  }

  /** @throws RecordingQueueFullError, RecordingUnavailableError */
  async record(record: PredictionRecord): Promise<void> {
    this.counts.add('predicted');
    const bytes = weigh(record);
    if (this.waiting >= MAX_WAITING || this.waitingBytes + bytes > MAX_WAITING_BYTES) {
      this.counts.add('dropped');
      throw new RecordingQueueFullError(
        'Too many predictions wait to be recorded; try again in a moment',
        { retryAfterSeconds: 1, waiting: this.waiting },
      );
    }
    this.reserve(bytes);
    try {
      this.enqueue({ record, place: await this.journal.append(record) });
    } catch (cause) {
      this.release(bytes);
      this.counts.add('dropped');
      throw new RecordingUnavailableError(
        'The prediction could not be kept on disk until it is recorded, so its result is withheld',
        { retryAfterSeconds: 1 },
        { cause },
      );
    }
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.giveUpAtMs = Date.now() + SHUTDOWN_MS;
    await this.draining;
    await this.journal.close();
    if (this.waiting > 0) {
      this.logger.warn({ records: this.waiting }, 'the next start writes what is still queued');
    }
  }

  /** Writes what an earlier run left on disk, once the database answers. */
  private async replay(): Promise<void> {
    const recovered = await this.journal.recover();
    if (recovered.length === 0) return;
    while (!(await this.database.health()).ok) {
      if (Date.now() >= this.giveUpAtMs) return;
      await delay(RETRY_DELAY_MS, undefined, { ref: false });
    }
    this.logger.warn({ records: recovered.length }, 'records of an earlier run are written now');
    for (const entry of recovered) {
      this.replayed.add(entry.place);
      this.reserve(weigh(entry.record));
      this.enqueue(entry);
    }
  }

  private reserve(bytes: number): void {
    this.waiting++;
    this.waitingBytes += bytes;
  }

  private release(bytes: number): void {
    this.waiting--;
    this.waitingBytes -= bytes;
  }

  private enqueue(entry: JournalledRecord): void {
    this.queue.push(entry);
    this.draining ??= this.drain();
  }

  private async drain(): Promise<void> {
    // After what comes in the same turn, so that it shares the first write.
    await delay(0);
    while (this.queue.length > 0 && Date.now() < this.giveUpAtMs) {
      const writes = this.queue.splice(0, PARALLEL_WRITES);
      const failures = await Promise.all(writes.map(async (entry) => await this.write(entry)));
      const failed = writes.filter((_, place) => failures[place] !== null);
      if (failed.length === 0) continue;
      this.queue.unshift(...failed);
      const [err] = failures.filter((failure) => failure !== null);
      this.logger.warn({ err, records: failed.length }, 'queued predictions are tried again');
      await delay(RETRY_DELAY_MS);
    }
    this.draining = undefined;
  }

  /** @returns why it has to be tried again, or null */
  private async write({ record, place }: JournalledRecord): Promise<{ cause: unknown } | null> {
    const isReplayed = this.replayed.has(place);
    try {
      await this.writer.write(record);
      this.counts.add(isReplayed ? 'replayed' : 'recorded');
    } catch (cause) {
      if (!(cause instanceof DocumentRefusedError)) return { cause };
      this.logger.error({ err: cause, predictionId: record.id }, 'a record was refused for good');
      if (!isReplayed) this.counts.add('dropped');
    }
    this.release(weigh(record));
    // A segment that stays is written once more by the next start, which is harmless.
    await this.journal.settle(place).catch((error: unknown) => {
      this.logger.warn({ err: error }, 'a segment of the journal could not be removed');
    });
    return null;
  }
}

function weigh({ input, outputs = {} }: PredictionRecord): number {
  return Object.values(outputs).reduce(
    (bytes, { data }) => bytes + data.byteLength,
    input.bytes + RECORD_BYTES,
  );
}
