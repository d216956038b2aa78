import { type NamedTensors } from '../common/tensor';
import { type LoadableVersion } from '../models/version';
import { type EngineName } from './engines/engine';
import { versionKey } from './executor-protocol';

/** Waiting requests beyond this are refused at once instead of timing out later. */
const MAX_WAITING = 1024;
const MAX_WAITING_BYTES = 512 * 1024 * 1024;

/** One prediction that waits for an executor. */
export interface Job {
  readonly version: LoadableVersion;
  readonly engine: EngineName;
  readonly inputs: NamedTensors;
  readonly enqueuedAtMs: number;
  readonly deadlineAtMs: number;
  readonly resolve: (result: {
    readonly outputs: NamedTensors;
    readonly queueMs: number;
    readonly inferMs: number;
  }) => void;
  readonly reject: (error: unknown) => void;
  /** Called once, when the job leaves the queue for whatever reason. */
  readonly settled: () => void;
}

/** Requests that wait, first come first served within a version; bounded in number and in bytes. */
export class VersionQueues {
  private readonly queues = new Map<string, Job[]>();
  private waiting = 0;
  private waitingBytes = 0;

  get size(): number {
    return this.waiting;
  }

  has(key: string): boolean {
    return this.queues.has(key);
  }

  /** @returns false when no more may wait */
  add(job: Job): boolean {
    const bytes = inputBytes(job);
    if (this.waiting >= MAX_WAITING || this.waitingBytes + bytes > MAX_WAITING_BYTES) return false;
    const key = versionKey(job.version);
    const queue = this.queues.get(key);
    if (queue) queue.push(job);
    else this.queues.set(key, [job]);
    this.waiting++;
    this.waitingBytes += bytes;
    return true;
  }

  /** Takes the job that has waited longest among the versions that `serves` accepts. */
  takeOldest(serves: (key: string) => boolean): Job | undefined {
    let oldest: Job | undefined;
    for (const [key, [first]] of this.queues) {
      if (first && serves(key) && (!oldest || first.enqueuedAtMs < oldest.enqueuedAtMs)) {
        oldest = first;
      }
    }
    if (oldest) this.remove(oldest);
    return oldest;
  }

  /** Fails one job, unless it has left the queue already. */
  drop(job: Job, error: unknown): void {
    if (this.remove(job)) job.reject(error);
  }

  failAll(key: string, error: unknown): void {
    for (const job of [...(this.queues.get(key) ?? [])]) this.drop(job, error);
  }

  /** The versions that are waited for, those that have waited longest first. */
  waitingVersions(): {
    readonly key: string;
    readonly version: LoadableVersion;
    readonly engine: EngineName;
  }[] {
    return [...this.queues].flatMap(([key, [first]]) =>
      first ? [{ key, version: first.version, engine: first.engine }] : [],
    );
  }

  private remove(job: Job): boolean {
    const key = versionKey(job.version);
    const queue = this.queues.get(key) ?? [];
    const index = queue.indexOf(job);
    if (index < 0) return false;
    queue.splice(index, 1);
    if (queue.length === 0) this.queues.delete(key);
    this.waiting--;
    this.waitingBytes -= inputBytes(job);
    job.settled();
    return true;
  }
}

function inputBytes({ inputs }: Job): number {
  return Object.values(inputs).reduce((sum, { data }) => sum + data.byteLength, 0);
}
