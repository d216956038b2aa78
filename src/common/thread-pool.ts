import { types } from 'node:util';
import { type ResourceLimits, type Transferable, Worker } from 'node:worker_threads';

/** Jobs and their results carry a number: a thread can have several before it. */
export interface Numbered<T> {
  readonly id: number;
  readonly content: T;
}

export interface ThreadPoolOptions {
  /** The compiled file that a thread runs; see entry-path. */
  readonly entry: string;
  readonly threads: number;
  /** Handed to a thread at once: several spare it the wait for the next, and are lost with it. */
  readonly jobsPerThread: number;
  readonly resourceLimits?: ResourceLimits;
  /** The failure of a job whose thread died, or that came after the end. */
  readonly lost: (message: string, cause?: unknown) => Error;
}

interface Waiting<Job, Result> {
  readonly job: Job;
  readonly transfer: readonly Transferable[];
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

interface Thread<Job, Result> {
  readonly worker: Worker;
  readonly pending: Map<number, Waiting<Job, Result>>;
}

/**
 * Threads that all run one entry, which answers every `Numbered` job with a `Numbered` result.
 *
 * A job settles whatever happens: a thread that dies fails the jobs it had, and the next job starts
 * another. Threads start when they are needed and do not keep the process alive. How many jobs may
 * wait is for the owner to bound.
 */
export class ThreadPool<Job, Result> {
  private readonly threads: Thread<Job, Result>[] = [];
  private readonly waiting: Waiting<Job, Result>[] = [];
  private nextId = 1;
  private closed = false;

  constructor(private readonly options: ThreadPoolOptions) {}

  /** What is in `transfer` belongs to the thread afterwards. */
  async run(job: Job, transfer: readonly Transferable[] = []): Promise<Result> {
    if (this.closed) throw this.options.lost('The threads have been stopped');
    return await new Promise<Result>((resolve, reject) => {
      this.waiting.push({ job, transfer, resolve, reject });
      this.dispatch();
    });
  }

  /** Ends the threads; jobs that they have, and jobs that wait, fail. */
  async close(): Promise<void> {
    this.closed = true;
    for (const { reject } of this.waiting.splice(0)) {
      reject(this.options.lost('The threads have been stopped'));
    }
    await Promise.all(this.threads.map(async ({ worker }) => await worker.terminate()));
  }

  private dispatch(): void {
    while (this.waiting.length > 0) {
      const thread = this.freeThread();
      const next = thread && this.waiting.shift();
      if (!next) return;
      this.hand(next, thread);
    }
  }

  private hand(next: Waiting<Job, Result>, { worker, pending }: Thread<Job, Result>): void {
    const id = this.nextId++;
    const question: Numbered<Job> = { id, content: next.job };
    try {
      worker.postMessage(question, next.transfer);
    } catch (error) {
      next.reject(error);
      return;
    }
    pending.set(id, next);
    worker.ref();
  }

  /** The least busy one, or another while there may be more and all have something to do. */
  private freeThread(): Thread<Job, Result> | undefined {
    const { threads, jobsPerThread } = this.options;
    const [first, ...others] = this.threads;
    const idlest = others.reduce(
      (a, b) => (b.pending.size < (a?.pending.size ?? 0) ? b : a),
      first,
    );
    if ((idlest?.pending.size ?? 1) > 0 && this.threads.length < threads) return this.start();
    return idlest && idlest.pending.size < jobsPerThread ? idlest : undefined;
  }

  private start(): Thread<Job, Result> {
    const { entry, resourceLimits } = this.options;
    const worker = new Worker(entry, resourceLimits ? { resourceLimits } : {});
    const thread: Thread<Job, Result> = { worker, pending: new Map() };
    const { pending } = thread;
    this.threads.push(thread);
    worker.unref();
    worker.on('message', ({ id, content }: Numbered<Result>) => {
      const done = pending.get(id);
      pending.delete(id);
      if (pending.size === 0) worker.unref();
      done?.resolve(content);
      this.dispatch();
    });
    let failure: unknown;
    worker.on('error', (error) => {
      failure = error;
    });
    // An answer that cannot be read would leave its job without an end.
    worker.on('messageerror', (error) => {
      failure = error;
      void worker.terminate();
    });
    worker.on('exit', () => {
      this.threads.splice(this.threads.indexOf(thread), 1);
      for (const { reject } of pending.values()) {
        reject(this.options.lost('A thread stopped at its work', failure));
      }
      pending.clear();
      this.dispatch();
    });
    return thread;
  }
}

/** The bytes in memory of their own, which can change hands: a copy only where they share it. */
export function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  return types.isArrayBuffer(buffer) && buffer.byteLength === byteLength
    ? new Uint8Array(buffer)
    : new Uint8Array(bytes);
}
