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
import { type Outcome } from './group-commit';
import { type PredictionRecord } from './prediction.doc';
import { RecordingQueueFullError, RecordingUnavailableError } from './predictions.errors';
import { RecordWriter, weighRecord } from './record-writer.service';
import { type Recorder } from './recorder';
import { RecordingCounts } from './recording-counts';
import {
  type JournalledRecord,
  type JournalPlace,
  RecordingJournal,
} from './recording-journal.store';

const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** Records that are written together; as many as one command takes. */
const GROUP = 500;
/** How long records wait for others: nobody waits for them, and a command costs as much as 50 records. */
const GATHER_MS = 200;
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
  private gathering = new AbortController();
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
    const bytes = weighRecord(record);
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
    this.gathering.abort();
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
      this.reserve(weighRecord(entry.record));
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
    if (this.queue.length === GROUP) this.gathering.abort();
    this.draining ??= this.drain();
  }

  private async drain(): Promise<void> {
    while (this.queue.length > 0 && Date.now() < this.giveUpAtMs) {
      await this.gather();
      const writes = this.queue.splice(0, GROUP);
      const outcomes = await this.writer.writeAll(writes.map(({ record }) => record));
      const failed = writes.filter((entry, place) => this.count(entry, outcomes[place]));
      const again = new Set(failed);
      await this.settle(writes.filter((entry) => !again.has(entry)));
      if (failed.length === 0) continue;
      this.queue.unshift(...failed);
      const [err] = outcomes.flatMap((outcome) =>
        outcome.kind === 'failed' ? [outcome.cause] : [],
      );
      this.logger.warn({ err, records: failed.length }, 'queued predictions are tried again');
      await delay(RETRY_DELAY_MS);
    }
    this.draining = undefined;
  }

  /** Until there is a whole group, for a while, or until the process is to end. */
  private async gather(): Promise<void> {
    if (this.queue.length >= GROUP || this.giveUpAtMs < Infinity) return;
    this.gathering = new AbortController();
    await delay(GATHER_MS, undefined, { signal: this.gathering.signal }).catch(() => undefined);
  }

  private async settle(entries: readonly JournalledRecord[]): Promise<void> {
    // A segment that stays is written once more by the next start, which is harmless.
    await this.journal.settle(entries.map(({ place }) => place)).catch((error: unknown) => {
      this.logger.warn({ err: error }, 'a segment of the journal could not be removed');
    });
  }

  /** @returns whether it has to be tried again */
  private count({ record, place }: JournalledRecord, outcome: Outcome<void> | undefined): boolean {
    const isReplayed = this.replayed.has(place);
    if (outcome?.kind === 'done') {
      this.counts.add(isReplayed ? 'replayed' : 'recorded');
    } else if (outcome?.cause instanceof DocumentRefusedError) {
      const said = { err: outcome.cause, predictionId: record.id };
      this.logger.error(said, 'a record was refused for good');
      if (!isReplayed) this.counts.add('dropped');
    } else return true;
    this.release(weighRecord(record));
    return false;
  }
}
