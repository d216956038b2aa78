import { type CancelSignal } from '../common/cancel-signal';
import { type NamedTensors } from '../common/tensor';
import { type LoadableVersion } from '../models/version';
import { type Stackable } from './batch';
import { type BatchLimits, countTaken } from './batch.policy';
import { type EngineName } from './engines/engine';
import { versionKey } from './executor-protocol';

/** Waiting requests beyond this are refused at once instead of timing out later. */
const MAX_WAITING = 4096;
const MAX_WAITING_BYTES = 512 * 1024 * 1024;

/** One prediction that waits for an executor. */
export interface Job {
  readonly version: LoadableVersion;
  readonly engine: EngineName;
  readonly inputs: NamedTensors;
  /** Whether it may share a call: not where rows depend on each other, or after a shared call failed. */
  stackable: Stackable | null;
  readonly limits: BatchLimits;
  readonly enqueuedAtMs: number;
  readonly deadlineAtMs: number;
  readonly signal?: CancelSignal | undefined;
  readonly resolve: (result: {
    readonly outputs: NamedTensors;
    readonly queueMs: number;
    readonly inferMs: number;
    readonly batchRows?: number | undefined;
  }) => void;
  readonly reject: (error: unknown) => void;
}

/** Requests for one version on one engine. */
export interface Lane {
  readonly key: string;
  readonly engine: EngineName;
  /** The one that has waited longest. */
  readonly first: Job;
  /** All of them, in their order; changes with the queue. */
  readonly jobs: readonly Job[];
}

/** Requests that wait, first come first served within a version; bounded in number and in bytes. */
export class VersionQueues {
  private readonly lanes = new Map<string, Job[]>();
  private readonly perModel = new Map<string, number>();
  private waiting = 0;
  private waitingBytes = 0;

  get size(): number {
    return this.waiting;
  }

  /** How many wait, by model. */
  get sizes(): ReadonlyMap<string, number> {
    return this.perModel;
  }

  /** Whether anybody waits for a version, on whatever engine. */
  has(key: string): boolean {
    return [...this.lanes.values()].some(([first]) => first && versionKey(first.version) === key);
  }

  /** @returns false when no more may wait */
  add(job: Job): boolean {
    const { model } = job.version;
    if (this.waiting >= MAX_WAITING || (this.perModel.get(model) ?? 0) >= job.limits.maxQueue) {
      return false;
    }
    if (this.waitingBytes + inputBytes(job) > MAX_WAITING_BYTES) return false;
    this.enter(job, false);
    return true;
  }

  /** Lets a job that was taken wait again, before all others and whatever the bounds are. */
  putBack(job: Job): void {
    this.enter(job, true);
  }

  /** The lanes, those that have waited longest first. */
  waitingLanes(): readonly Lane[] {
    return [...this.lanes.values()]
      .flatMap((jobs) => {
        const [first] = jobs;
        if (!first) return [];
        const { version, engine } = first;
        return [{ key: versionKey(version), engine, first, jobs } satisfies Lane];
      })
      .sort((a, b) => a.first.enqueuedAtMs - b.first.enqueuedAtMs);
  }

  /** Takes the job that has waited longest in a lane, with those that can share its call. */
  takeBatch(lane: Lane, maxRows: number): readonly Job[] {
    const sharing = sharingWith(lane);
    const shares = sharing.map((job) => ({
      rows: job.stackable?.rows ?? 1,
      bytes: inputBytes(job),
    }));
    const taken = sharing.slice(0, countTaken(shares, maxRows));
    for (const job of taken) this.remove(job);
    return taken;
  }

  /** Takes one job out, unless it has left the queue already. */
  drop(job: Job, error: unknown): void {
    if (this.remove(job)) job.reject(error);
  }

  failAll({ jobs }: Lane, error: unknown): void {
    for (const job of [...jobs]) this.drop(job, error);
  }

  private enter(job: Job, first: boolean): void {
    const key = laneOf(job);
    const lane = this.lanes.get(key);
    if (!lane) this.lanes.set(key, [job]);
    else if (first) lane.unshift(job);
    else lane.push(job);
    this.count(job, 1);
  }

  private remove(job: Job): boolean {
    const key = laneOf(job);
    const lane = this.lanes.get(key) ?? [];
    const index = lane.indexOf(job);
    if (index < 0) return false;
    lane.splice(index, 1);
    if (lane.length === 0) this.lanes.delete(key);
    this.count(job, -1);
    return true;
  }

  private count(job: Job, by: 1 | -1): void {
    const { model } = job.version;
    const ofModel = (this.perModel.get(model) ?? 0) + by;
    if (ofModel === 0) this.perModel.delete(model);
    else this.perModel.set(model, ofModel);
    this.waiting += by;
    this.waitingBytes += by * inputBytes(job);
  }
}

/** The first job and those behind it that could stand in its call, in their order. */
export function sharingWith({ first, jobs }: Lane): readonly Job[] {
  const { stackable } = first;
  if (!stackable) return [first];
  return jobs.filter((job) => job.stackable?.key === stackable.key);
}

function laneOf({ version, engine }: Job): string {
  return `${engine} ${versionKey(version)}`;
}

function inputBytes({ inputs }: Job): number {
  return Object.values(inputs).reduce((sum, { data }) => sum + data.byteLength, 0);
}
