import assert from 'node:assert';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { StoreError } from '../common/errors';
import { type CancelSignal } from '../common/cancel-signal';
import { type NamedTensors } from '../common/tensor';
import { type BatchingSettings } from '../models/model.doc';
import { type LoadableVersion } from '../models/version';
import { splitOutputs, stackable, stackInputs } from './batch';
import { decideRowCap, DEFAULT_LIMITS } from './batch.policy';
import { type EngineName } from './engines/engine';
import { type Executor } from './executor';
import { versionKey } from './executor-protocol';
import { type Copy, ExecutorSlot, type HoldWhile } from './executor-slot';
import { LoadBackoff } from './load-backoff';
import { decideLoad, decideSpread, type PoolView, type SlotView } from './pool.policy';
import { type RecentLoad, RecentLoads } from './recent-loads';
import { decideRecycle } from './recycle.policy';
import { type Job, type Lane, sharingWith, VersionQueues } from './version-queues';
import {
  ExecutorLostError,
  LoadFailingError,
  PredictionCancelledError,
  PredictionDeadlineError,
  RuntimeOverloadedError,
} from './runtime.errors';

export interface PoolOptions {
  /** Executors of the main engine, started at once; other engines get one each when needed. */
  readonly engine: EngineName;
  readonly executors: number;
  /** Other engines that get as many as the main one, when needed: much may run on them. */
  readonly equals?: readonly EngineName[];
  readonly budgetBytes: number;
  /** How long reading and decoding a version may take. */
  readonly loadDeadlineMs: number;
  readonly startExecutor: (engine: EngineName) => Promise<Executor>;
  readonly log: (message: string) => void;
  readonly holdWhile: HoldWhile;
  /** When an idle executor has grown too much; `recycle.policy.ts` by default. */
  readonly decideRecycle?: typeof decideRecycle;
  /** Told of each call and each load. */
  readonly observer?: PoolObserver;
}

export interface PoolObserver {
  called(version: LoadableVersion, engine: EngineName, rows: number): void;
  /** @param damage what was wrong with the stored compiled form, if it could not be used */
  loaded(version: LoadableVersion, engine: EngineName, ms: number, damage: string | null): void;
  loadFailed(version: LoadableVersion, engine: EngineName): void;
  /** An executor was lost to a version: by its call or its load, and nothing else was under way. */
  killed(version: LoadableVersion, reason: string): void;
}

/** How long calls under way may take to finish when the pool stops. */
const STOP_WITHIN_MS = 10_000;
/** A version is loaded onto a further executor when a request has waited this long. */
const SPREAD_AFTER_MS = 2;

export interface PredictOptions {
  readonly deadlineMs: number;
  /** The model's own wishes; the defaults of `batch.policy.ts` otherwise. */
  readonly batching?: BatchingSettings | undefined;
  readonly signal?: CancelSignal | undefined;
}

export interface Prediction {
  readonly outputs: NamedTensors;
  readonly queueMs: number;
  /** The time of the whole call, which it may have shared. */
  readonly inferMs: number;
  /** Rows of that call; absent where the version computes each request by itself. */
  readonly batchRows?: number | undefined;
}

/** What the pool holds at one moment. */
export interface PoolState {
  readonly budgetBytes: number;
  readonly usedBytes: number;
  readonly waiting: number;
  /** Who waits, those first that have waited longest. */
  readonly queues: readonly {
    readonly version: string;
    readonly engine: EngineName;
    readonly waiting: number;
  }[];
  readonly executors: readonly SlotState[];
  readonly recentLoads: readonly RecentLoad[];
  /** Versions whose last load failed; they are tried again when asked for, not before that time. */
  readonly failedLoads: readonly {
    readonly version: string;
    readonly failures: number;
    readonly retryInMs: number;
    readonly reason: string;
  }[];
}

export interface SlotState {
  readonly id: number;
  readonly engine: EngineName;
  readonly pid: number | null;
  readonly busy: boolean;
  readonly restarts: number;
  readonly tensors: number;
  readonly rssBytes: number;
  readonly versions: readonly {
    readonly model: string;
    readonly version: number;
    readonly state: Copy['state'];
    readonly bytes: number;
    /** Calls under way that keep it in memory. */
    readonly leases: number;
    readonly pinned: boolean;
  }[];
}

/**
 * Executors, the versions loaded in them, and the requests that wait for both.
 *
 * An executor computes one call at a time: an idle one takes what waits at once, and while all are
 * busy requests for a version gather, to share the next call where their rows are independent. A
 * version is loaded at most once per executor, and onto a second one only while requests wait for
 * it and memory is free. What somebody waits for or computes with is never unloaded; the last copy
 * of a pinned version neither. What does not fit is refused, never squeezed in.
 */
export class ExecutorPool {
  private readonly slots: ExecutorSlot[] = [];
  private readonly queues = new VersionQueues();
  private readonly starting = new Map<EngineName, Promise<void>>();
  private pinned: ReadonlySet<string> = new Set();
  private nextSlot = 1;
  private readonly running = new Set<Promise<void>>();
  /** Versions whose outputs could not be told apart by row. */
  private readonly unstackable = new Set<string>();
  private readonly backoff = new LoadBackoff();
  private readonly recentLoads = new RecentLoads();
  private dispatching = false;
  private wake: { readonly atMs: number; readonly timer: NodeJS.Timeout } | undefined;
  private stopped = false;

  constructor(private readonly options: PoolOptions) {}

  /** @throws EngineUnavailableError when the main engine does not start */
  async start(): Promise<void> {
    const { engine, executors } = this.options;
    await Promise.all(
      Array.from({ length: executors }, async () => {
        await this.addSlot(engine);
      }),
    );
  }

  /**
   * Computes one batch on an executor with that engine, loading the version first where needed.
   *
   * @throws PredictionDeadlineError, ExecutorLostError, RuntimeOverloadedError and what loading and
   * computing throw
   */
  async predict(
    version: LoadableVersion,
    engine: EngineName,
    inputs: NamedTensors,
    options: PredictOptions,
  ): Promise<Prediction> {
    await this.ensureEngine(engine);
    if (this.stopped) throw stopping();
    return await new Promise<Prediction>((resolve, reject) => {
      const { signal, deadlineMs, batching } = options;
      const now = performance.now();
      const leaving =
        <T>(settle: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', cancel);
          settle(value);
        };
      const job: Job = {
        version,
        engine,
        inputs,
        stackable: this.unstackable.has(versionKey(version))
          ? null
          : stackable(version, engine, inputs),
        limits: batching ? { ...DEFAULT_LIMITS, ...batching } : DEFAULT_LIMITS,
        enqueuedAtMs: now,
        deadlineAtMs: now + deadlineMs,
        signal,
        resolve: leaving(resolve),
        reject: leaving(reject),
      };
      const cancel = (): void => {
        this.queues.drop(job, cancelled());
      };
      const timer = setTimeout(() => {
        this.queues.drop(job, late(job));
      }, deadlineMs);
      signal?.addEventListener('abort', cancel);
      if (!this.queues.add(job)) {
        job.reject(overloaded('Too many predictions are waiting', { waiting: this.queues.size }));
      } else if (signal?.aborted) cancel();
      else this.dispatchSoon();
    });
  }

  /** Makes sure that at least one executor has the version. */
  async load(version: LoadableVersion, engine: EngineName): Promise<void> {
    await this.ensureEngine(engine);
    const key = versionKey(version);
    const copy = this.slots
      .filter((slot) => slot.engine === engine)
      .map(({ copies }) => copies.get(key))
      .find((found) => found);
    await (copy ?? (await this.loadSomewhere(version, engine))).loaded;
  }

  /** Takes a version out of every executor, once nobody computes with it there. */
  async unload(key: string): Promise<void> {
    await Promise.all(
      this.slots.map(async (slot) => {
        await slot.unload(key);
      }),
    );
  }

  /** Names the versions of which one copy, once loaded, stays. */
  pin(keys: ReadonlySet<string>): void {
    this.pinned = keys;
  }

  /** How many wait, by model. */
  get waiting(): ReadonlyMap<string, number> {
    return this.queues.sizes;
  }

  state(): PoolState {
    const executors = this.slots.map(({ id, engine, executor, busy, restarts, copies }) => ({
      id,
      engine,
      pid: executor?.pid ?? null,
      busy,
      restarts,
      tensors: executor?.vitals.tensors ?? 0,
      rssBytes: executor?.vitals.rssBytes ?? 0,
      versions: [...copies].map(([key, { version, state, bytes, leases }]) => ({
        model: version.model,
        version: version.version,
        state,
        bytes,
        leases,
        pinned: this.pinned.has(key),
      })),
    }));
    const usedBytes = executors
      .flatMap(({ versions }) => versions)
      .reduce((sum, { bytes }) => sum + bytes, 0);
    return {
      budgetBytes: this.options.budgetBytes,
      usedBytes,
      waiting: this.queues.size,
      queues: this.queues
        .waitingLanes()
        .map(({ key, engine, jobs }) => ({ version: key, engine, waiting: jobs.length })),
      executors,
      recentLoads: this.recentLoads.list(),
      failedLoads: this.backoff.list().map(([version, { failures, error, retryAtMs }]) => ({
        version,
        failures,
        // Rounded up: 0 says that it is tried when asked for.
        retryInMs: Math.max(0, Math.ceil(retryAtMs - performance.now())),
        reason: error instanceof Error ? error.message : String(error),
      })),
    };
  }

  /** What the engines that are running say of themselves. */
  descriptions(): ReadonlyMap<EngineName, string> {
    return new Map(this.executors().map(({ engine, description }) => [engine, description]));
  }

  /** The executor processes, for whoever looks after them. */
  executors(): readonly Executor[] {
    return this.slots.flatMap(({ executor }) => (executor?.isAlive === true ? [executor] : []));
  }

  /** Refuses what waits and what comes, and lets what is under way finish. */
  async drain(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.wake?.timer);
    for (const lane of this.queues.waitingLanes()) this.queues.failAll(lane, stopping());
    await Promise.all(this.running);
  }

  /** Drains, but no longer than it may take, then ends the processes. */
  async stop(withinMs = STOP_WITHIN_MS): Promise<void> {
    await Promise.race([this.drain(), sleep(withinMs, undefined, { ref: false })]);
    await Promise.all(
      this.slots.map(async (slot) => {
        await slot.stop();
      }),
    );
  }

  private async ensureEngine(engine: EngineName): Promise<void> {
    let starting = this.starting.get(engine);
    if (!starting) {
      if (this.slots.some((slot) => slot.engine === engine)) return;
      const { executors, equals = [] } = this.options;
      starting = this.addSlots(engine, equals.includes(engine) ? executors : 1).finally(() =>
        this.starting.delete(engine),
      );
      this.starting.set(engine, starting);
    }
    await starting;
  }

  /** Fails when none of them starts. */
  private async addSlots(engine: EngineName, count: number): Promise<void> {
    const added = await Promise.allSettled(
      Array.from({ length: count }, async () => {
        await this.addSlot(engine);
      }),
    );
    const failures = added.filter((one) => one.status === 'rejected');
    if (failures.length === count) throw failures[0]?.reason;
  }

  private async addSlot(engine: EngineName): Promise<void> {
    const { startExecutor, log, holdWhile } = this.options;
    const changed = (): void => {
      this.dispatchSoon();
    };
    const slot = new ExecutorSlot(this.nextSlot++, engine, startExecutor, changed, log, holdWhile);
    await slot.start();
    if (this.stopped) await slot.stop();
    else this.slots.push(slot);
  }

  /**
   * Dispatches once what has arrived is read: requests that come in one turn of the event loop, and
   * are read in the next, share a call, and a lone one is not kept waiting by any timer.
   */
  private dispatchSoon(): void {
    if (this.dispatching) return;
    this.dispatching = true;
    setImmediate(() => {
      setImmediate(() => {
        this.dispatching = false;
        this.dispatch();
      });
    });
  }

  private dispatchIn(ms: number): void {
    const atMs = performance.now() + ms;
    if (this.wake && this.wake.atMs <= atMs) return;
    clearTimeout(this.wake?.timer);
    const timer = setTimeout(() => {
      this.wake = undefined;
      this.dispatch();
    }, ms);
    this.wake = { atMs, timer };
  }

  /** Hands waiting requests to idle executors, and starts the loads that others wait for. */
  private dispatch(): void {
    if (this.stopped) return;
    for (const slot of this.slots) {
      const lane = this.queues
        .waitingLanes()
        .find((waiting) => this.serves(slot, waiting) && this.isDue(waiting));
      if (!lane) continue;
      const run = this.run(slot, this.queues.takeBatch(lane, this.rowCap(lane))).finally(() =>
        this.running.delete(run),
      );
      this.running.add(run);
    }
    for (const lane of this.queues.waitingLanes()) this.loadFor(lane);
  }

  /** Whether an executor could compute for a lane at once. */
  private serves(slot: ExecutorSlot, { key, engine }: Lane): boolean {
    return (
      !slot.busy && slot.isUp && slot.engine === engine && slot.copies.get(key)?.state === 'ready'
    );
  }

  /** Whether a lane has gathered as long, or as much, as its model wishes. */
  private isDue(lane: Lane): boolean {
    const { stackable: first, limits, enqueuedAtMs } = lane.first;
    if (!first || limits.maxDelayMs === 0 || rowsOf(sharingWith(lane)) >= limits.maxRows) {
      return true;
    }
    const leftMs = enqueuedAtMs + limits.maxDelayMs - performance.now();
    if (leftMs > 0) this.dispatchIn(leftMs);
    return leftMs <= 0;
  }

  private rowCap(lane: Lane): number {
    const { version, engine, limits, deadlineAtMs } = lane.first;
    return decideRowCap({
      maxRows: limits.maxRows,
      waitingRows: rowsOf(sharingWith(lane)),
      idleExecutors: this.slots.filter((slot) => this.serves(slot, lane)).length,
      remainingMs: deadlineAtMs - performance.now(),
      msPerBatch: version.engines[engine]?.msPerBatch ?? {},
    });
  }

  /** Starts the load that a lane waits for, or one more where an executor has nothing to do. */
  private loadFor(lane: Lane): void {
    const { key, engine, first } = lane;
    const copies = this.slots.flatMap((slot) =>
      slot.engine === engine ? (slot.copies.get(key) ?? []) : [],
    );
    // Either it is on its way, or its executors are being replaced: the next change tells.
    if (copies.some((copy) => copy.state === 'loading') || !this.isAlive(engine)) return;
    if (copies.length === 0) {
      this.loadSomewhere(first.version, engine).catch((error: unknown) => {
        if (!this.mayPass(key, error)) this.queues.failAll(lane, error);
      });
      return;
    }
    const { loadedBytes } = first.version;
    const slot = decideSpread(this.view(engine), { key, bytes: loadedBytes });
    if (slot === null) return;
    // A short queue is gone before a copy is there.
    const leftMs = first.enqueuedAtMs + SPREAD_AFTER_MS - performance.now();
    if (leftMs > 0) this.dispatchIn(leftMs);
    else this.loadOn(slot, first.version).loaded.catch(() => undefined);
  }

  private async run(slot: ExecutorSlot, jobs: readonly Job[]): Promise<void> {
    const [first] = jobs;
    assert(first, 'a lane has at least one job');
    const { executor } = slot;
    const startMs = performance.now();
    const firstDeadlineMs = Math.min(...jobs.map(({ deadlineAtMs }) => deadlineAtMs));
    const remainingMs = Math.max(1, Math.ceil(firstDeadlineMs - startMs));
    const inputs = stackInputs(jobs.map((job) => job.inputs));
    try {
      const { outputs, inferMs } = await slot.predict(first.version, inputs, remainingMs);
      this.options.observer?.called(first.version, first.engine, rowsOf(jobs));
      const split = jobs.length === 1 ? [outputs] : splitOutputs(outputs, jobs.map(rowsOfJob));
      // What was shown at the test load does not hold for these inputs, so it is not relied on again.
      if (!split) this.unstackable.add(versionKey(first.version));
      const batchRows = first.stackable ? rowsOf(jobs) : undefined;
      jobs.forEach((job, index) => {
        const own = split?.[index];
        if (!own) this.tryAlone(job);
        else {
          const queueMs = startMs - job.enqueuedAtMs;
          job.resolve({ outputs: own, inferMs, queueMs, batchRows });
        }
      });
    } catch (error) {
      // A call that started late may have had no time: that is not the version's doing.
      const hadTime = remainingMs * 2 > first.deadlineAtMs - first.enqueuedAtMs;
      if (hadTime) this.blame(executor, first.version, error);
      // Which of them is to blame shows when each is tried by itself.
      if (jobs.length === 1) first.reject(error);
      else for (const job of jobs) this.tryAlone(job, error);
    } finally {
      slot.recycleIfGrown(this.options.decideRecycle ?? decideRecycle);
      this.dispatchSoon();
    }
  }

  /** Lets a request whose shared call failed wait for a call of its own. */
  private tryAlone(job: Job, failure?: unknown): void {
    if (this.stopped) job.reject(stopping());
    else if (job.signal?.aborted === true) job.reject(cancelled());
    else if (job.deadlineAtMs <= performance.now()) {
      job.reject(failure instanceof PredictionDeadlineError ? failure : late(job));
    } else {
      job.stackable = null;
      this.queues.putBack(job);
    }
  }

  /** Starts the one load of a version that no executor has, after making room for it. */
  private async loadSomewhere(version: LoadableVersion, engine: EngineName): Promise<Copy> {
    if (!this.isAlive(engine)) {
      throw new ExecutorLostError('The executors are being replaced', { retryAfterSeconds: 1 });
    }
    const key = versionKey(version);
    const blocking = this.backoff.blocking(key);
    if (blocking) throw stillFailing(key, blocking.error, blocking.leftMs);
    const decision = decideLoad(this.view(engine), { key, bytes: version.loadedBytes });
    if (decision.kind === 'refuse') {
      throw decision.because === 'never'
        ? overloaded('The version is larger than the memory for loaded models', {
            loadedBytes: version.loadedBytes,
            budgetBytes: this.options.budgetBytes,
          })
        : overloaded('The memory for loaded models is taken by versions in use', {
            budgetBytes: this.options.budgetBytes,
          });
    }
    const room = decision.evict.map(async ({ slot, key: evicted }) => {
      // An executor that is lost meanwhile has made room all the same.
      await this.slotById(slot)
        ?.unload(evicted)
        .catch(() => undefined);
    });
    // The copy is entered before anything is waited for: whoever asks next finds it on its way.
    const copy = this.loadOn(decision.slot, version);
    await Promise.all(room);
    return copy;
  }

  private loadOn(slotId: number, version: LoadableVersion): Copy {
    const slot = this.slotById(slotId);
    if (!slot) throw overloaded('The executor is being replaced', {});
    const startMs = performance.now();
    const { loadDeadlineMs, observer } = this.options;
    const { executor, engine } = slot;
    const key = versionKey(version);
    const started = { version: key, executor: slotId, engine, at: new Date().toISOString() };
    const elapsedMs = (): number => Math.round(performance.now() - startMs);
    const copy = slot.load(version, loadDeadlineMs);
    copy.loaded.then(
      () => {
        this.backoff.success(key);
        this.recentLoads.add({ ...started, ms: elapsedMs(), ok: true });
        observer?.loaded(version, slot.engine, performance.now() - startMs, copy.damage);
        this.dispatchSoon();
      },
      (error: unknown) => {
        observer?.loadFailed(version, slot.engine);
        const reason = error instanceof Error ? error.message : String(error);
        this.recentLoads.add({ ...started, ms: elapsedMs(), ok: false, reason });
        this.backoff.failure(key, error);
        this.blame(executor, version, error);
        this.dispatchSoon();
        if (this.mayPass(key, error)) return;
        const lane = this.queues
          .waitingLanes()
          .find((waiting) => waiting.key === key && waiting.engine === slot.engine);
        const isElsewhere = this.slots.some(
          ({ engine, copies }) => engine === slot.engine && copies.has(key),
        );
        if (lane && !isElsewhere) this.queues.failAll(lane, error);
      },
    );
    return copy;
  }

  /** Whether those who wait for a load that failed should go on waiting: its executor was lost. */
  private mayPass(key: string, error: unknown): boolean {
    return error instanceof ExecutorLostError && !this.stopped && !this.backoff.blocking(key);
  }

  /** Tells of a version that cost an executor its life, if nothing else can have. */
  private blame(executor: Executor | undefined, version: LoadableVersion, error: unknown): void {
    if (this.stopped || executor?.lostTo !== versionKey(version)) return;
    this.options.observer?.killed(version, error instanceof Error ? error.message : String(error));
  }

  private isAlive(engine: EngineName): boolean {
    return this.slots.some((slot) => slot.engine === engine && slot.isUp);
  }

  private slotById(id: number): ExecutorSlot | undefined {
    return this.slots.find((slot) => slot.id === id);
  }

  private view(engine: EngineName): PoolView {
    const alive = this.slots.filter(({ isUp }) => isUp);
    return {
      candidates: alive.filter((slot) => slot.engine === engine).map((slot) => this.toView(slot)),
      others: alive.filter((slot) => slot.engine !== engine).map((slot) => this.toView(slot)),
      pinned: this.pinned,
      budgetBytes: this.options.budgetBytes,
    };
  }

  private toView({ id, busy, copies }: ExecutorSlot): SlotView {
    return {
      slot: id,
      busy,
      copies: [...copies].map(([key, { bytes, state, leases, lastUsedAtMs }]) => ({
        key,
        bytes,
        lastUsedAtMs,
        leased: state === 'loading' || leases > 0 || this.queues.has(key),
      })),
    };
  }
}

/** What a load answers that is not tried because the last ones failed. */
function stillFailing(key: string, error: unknown, leftMs: number): unknown {
  if (!(error instanceof StoreError) || error.kind === 'invalid' || error.kind === 'corrupt') {
    return error;
  }
  const retryAfterSeconds = Math.ceil(leftMs / 1000);
  return new LoadFailingError(
    `Version ${key} could not be loaded and is tried again in ${retryAfterSeconds} s: ${error.message}`,
    { retryAfterSeconds },
    { cause: error },
  );
}

function rowsOf(jobs: readonly Job[]): number {
  return jobs.reduce((sum, job) => sum + rowsOfJob(job), 0);
}

function rowsOfJob({ stackable: own }: Job): number {
  return own?.rows ?? 1;
}

function late({ enqueuedAtMs, deadlineAtMs }: Job): PredictionDeadlineError {
  const deadlineMs = Math.round(deadlineAtMs - enqueuedAtMs);
  return new PredictionDeadlineError(`No executor was free within ${deadlineMs} ms`, {
    deadlineMs,
    step: 'queue',
  });
}

function cancelled(): PredictionCancelledError {
  return new PredictionCancelledError('The request was cancelled');
}

function stopping(): ExecutorLostError {
  return new ExecutorLostError('The service is stopping', { retryAfterSeconds: 1 });
}

function overloaded(message: string, details: object): RuntimeOverloadedError {
  return new RuntimeOverloadedError(message, { ...details, retryAfterSeconds: 1 });
}
