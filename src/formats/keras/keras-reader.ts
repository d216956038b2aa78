import { Worker } from 'node:worker_threads';

import { entryPath } from '../../common/entry-path';
import { InvalidArtifactError } from '../formats.errors';
import { type KerasJob, type KerasReply, NEXT } from './keras-job';
import { KerasTooLargeError, UnreadableHdf5Error } from './keras.errors';

/** A file is whole in memory while it is read. */
const MAX_KERAS_BYTES = 1024 ** 3;

/** Between two answers of the thread, each about a few megabytes at most. */
const DEADLINE_MS = 60_000;

/** Without its weights, a description is small; the weights are in memory of their own. */
const HEAP_MB = 512;

type Described = Extract<KerasReply, { kind: 'described' }>;

/** A Keras file that was understood, while its thread lives. */
export interface KerasReading extends Described {
  /** The weights as float32, to be read once. */
  readonly weights: AsyncGenerator<Uint8Array>;
}

/** One file for a reader; its bytes are handed over and gone afterwards. */
export type KerasInput = Omit<KerasJob, 'maxBytes'>;

/**
 * Reads Keras files, each on a thread of its own that ends with it.
 *
 * Files are whole in memory while they are read, so there is one at a time and the others wait.
 * A file that crashes its thread, or keeps it longer than the deadline between two answers, is
 * refused as damaged; nothing else notices.
 */
export class KerasReader {
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    readonly maxBytes = MAX_KERAS_BYTES,
    private readonly deadlineMs = DEADLINE_MS,
  ) {}

  /**
   * Describes a file and lets `use` read its weights; null when it is no file of Keras.
   *
   * @throws InvalidArtifactError, KerasTooLargeError
   */
  async read<T>(
    load: () => Promise<KerasInput>,
    use: (reading: KerasReading) => Promise<T>,
  ): Promise<T | null> {
    const turn = this.last.then(async () => await this.readNow(await load(), use));
    this.last = turn.catch(() => undefined);
    return await turn;
  }

  private async readNow<T>(
    input: KerasInput,
    use: (reading: KerasReading) => Promise<T>,
  ): Promise<T | null> {
    const thread = new ReadingThread({ ...input, maxBytes: this.maxBytes }, this.deadlineMs);
    try {
      const first = await thread.reply();
      if (first.kind !== 'described') return null;
      return await use({ ...first, weights: thread.pieces() });
    } finally {
      await thread.close();
    }
  }
}

/** A thread that reads one file; its end without an answer, or its silence, is the file's fault. */
class ReadingThread {
  private readonly worker: Worker;
  private readonly waiting: ((outcome: Outcome) => void)[] = [];
  private readonly early: Outcome[] = [];
  private end: Outcome | undefined;

  constructor(
    private readonly job: KerasJob,
    private readonly deadlineMs: number,
  ) {
    this.worker = new Worker(entryPath(__dirname, 'keras.entry'), {
      workerData: job,
      transferList: [job.hdf5.buffer as ArrayBuffer],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
      // The library writes its troubles to the console; the faults say what matters.
      stdout: true,
      stderr: true,
    });
    this.worker.stdout.resume();
    this.worker.stderr.resume();
    this.worker.on('message', (reply: KerasReply) => {
      this.settle({ reply });
    });
    this.worker.on('error', (cause) => {
      this.finish({ cause });
    });
    this.worker.on('exit', () => {
      this.finish({ cause: undefined });
    });
  }

  async reply(): Promise<KerasReply> {
    let timer: NodeJS.Timeout | undefined;
    const outcome = await new Promise<Outcome>((resolve) => {
      const known = this.early.shift() ?? this.end;
      if (known) {
        resolve(known);
        return;
      }
      this.waiting.push(resolve);
      timer = setTimeout(() => {
        this.finish({ cause: undefined });
      }, this.deadlineMs);
    });
    clearTimeout(timer);
    const { path, maxBytes } = this.job;
    if (!('reply' in outcome)) throw new UnreadableHdf5Error(path, outcome.cause);
    const { reply } = outcome;
    if (reply.kind === 'refused') throw new InvalidArtifactError(reply.message, reply.faults);
    if (reply.kind === 'too-large') {
      throw new KerasTooLargeError(path, 'The weights take', reply.bytes, maxBytes);
    }
    return reply;
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      this.worker.postMessage(NEXT);
      const reply = await this.reply();
      if (reply.kind !== 'piece') return;
      yield reply.bytes;
    }
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }

  private settle(outcome: Outcome): void {
    const waiting = this.waiting.shift();
    if (waiting) waiting(outcome);
    else this.early.push(outcome);
  }

  private finish(outcome: Outcome): void {
    this.end ??= outcome;
    for (const waiting of this.waiting.splice(0)) waiting(this.end);
  }
}

type Outcome = { readonly reply: KerasReply } | { readonly cause: unknown };
