import { performance } from 'node:perf_hooks';

import { type NamedTensors } from '../common/tensor';
import { type LoadableVersion } from '../models/version';
import { type EngineName } from './engines/engine';
import { type Executor } from './executor';
import { versionKey } from './executor-protocol';
import { type Copy, ExecutorSlot } from './executor-slot';
import { decideLoad, decideSpread, type PoolView, type SlotView } from './pool.policy';
import { type Job, VersionQueues } from './version-queues';
import {
  ExecutorLostError,
  PredictionCancelledError,
  PredictionDeadlineError,
  RuntimeOverloadedError,
} from './runtime.errors';

export interface PoolOptions {
  /** Executors of the main engine, started at once; other engines get one each when needed. */
  readonly engine: EngineName;
  readonly executors: number;
  readonly budgetBytes: number;
  /** How long reading and decoding a version may take. */
  readonly loadDeadlineMs: number;
  readonly startExecutor: (engine: EngineName) => Promise<Executor>;
  readonly log: (message: string) => void;
}

export interface PredictOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export interface Prediction {
  readonly outputs: NamedTensors;
  readonly queueMs: number;
  readonly inferMs: number;
}

/** What the pool holds at one moment. */
export interface PoolState {
  readonly budgetBytes: number;
  readonly usedBytes: number;
  readonly waiting: number;
  readonly executors: readonly SlotState[];
}

export interface SlotState {
  readonly id: number;
  readonly engine: EngineName;
  readonly pid: number | null;
  readonly busy: boolean;
  readonly restarts: number;
  readonly versions: readonly {
    readonly model: string;
    readonly version: number;
    readonly state: Copy['state'];
    readonly bytes: number;
    readonly pinned: boolean;
  }[];
}

/**
 * Executors, the versions loaded in them, and the requests that wait for both.
 *
 * An executor computes one prediction at a time. A version is loaded at most once per executor,
 * and onto a second one only while requests wait for it and memory is free. What somebody waits for
 * or computes with is never unloaded; the last copy of a pinned version neither. What does not fit
 * is refused, never squeezed in.
 */
export class ExecutorPool {
  private readonly slots: ExecutorSlot[] = [];
  private readonly queues = new VersionQueues();
  private readonly starting = new Map<EngineName, Promise<void>>();
  private pinned: ReadonlySet<string> = new Set();
  private nextSlot = 1;
  private readonly running = new Set<Promise<void>>();
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
      const { signal, deadlineMs } = options;
      const job: Job = {
        version,
        engine,
        inputs,
        enqueuedAtMs: performance.now(),
        deadlineAtMs: performance.now() + deadlineMs,
        resolve,
        reject,
        settled: () => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', cancel);
        },
      };
      const cancel = (): void => {
        this.queues.drop(job, new PredictionCancelledError('The request was cancelled'));
      };
      const timer = setTimeout(() => {
        this.queues.drop(
          job,
          new PredictionDeadlineError(`No executor was free within ${deadlineMs} ms`, {
            deadlineMs,
            step: 'queue',
          }),
        );
      }, deadlineMs);
      signal?.addEventListener('abort', cancel, { once: true });
      if (this.queues.add(job)) {
        if (signal?.aborted) cancel();
        this.dispatch();
      } else {
        job.settled();
        reject(overloaded('Too many predictions are waiting', {}));
      }
    });
  }

  /** Makes sure that at least one executor has the version. */
  async load(version: LoadableVersion, engine: EngineName): Promise<void> {
    await this.ensureEngine(engine);
    const key = versionKey(version);
    const copy = this.slots.map(({ copies }) => copies.get(key)).find((found) => found);
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

  state(): PoolState {
    const executors = this.slots.map(({ id, engine, executor, busy, restarts, copies }) => ({
      id,
      engine,
      pid: executor?.pid ?? null,
      busy,
      restarts,
      versions: [...copies].map(([key, { version, state, bytes }]) => ({
        model: version.model,
        version: version.version,
        state,
        bytes,
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
      executors,
    };
  }

  /** The executor processes, for whoever looks after them. */
  executors(): readonly Executor[] {
    return this.slots.flatMap(({ executor }) => (executor?.isAlive === true ? [executor] : []));
  }

  /** Refuses what waits, lets what is under way finish, then ends the processes. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (const { key } of this.queues.waitingVersions()) this.queues.failAll(key, stopping());
    await Promise.all(this.running);
    await Promise.all(
      this.slots.map(async (slot) => {
        await slot.stop();
      }),
    );
  }

  private async ensureEngine(engine: EngineName): Promise<void> {
    if (this.slots.some((slot) => slot.engine === engine)) return;
    let starting = this.starting.get(engine);
    if (!starting) {
      starting = this.addSlot(engine).finally(() => this.starting.delete(engine));
      this.starting.set(engine, starting);
    }
    await starting;
  }

  private async addSlot(engine: EngineName): Promise<void> {
    const { startExecutor, log } = this.options;
    const changed = (): void => {
      this.dispatch();
    };
    const slot = new ExecutorSlot(this.nextSlot++, engine, startExecutor, changed, log);
    await slot.start();
    if (this.stopped) await slot.stop();
    else this.slots.push(slot);
  }

  /** Hands waiting requests to idle executors, and starts the loads that others wait for. */
  private dispatch(): void {
    if (this.stopped) return;
    for (const slot of this.slots) {
      if (slot.busy || !slot.isUp) continue;
      const job = this.queues.takeOldest((key) => slot.copies.get(key)?.state === 'ready');
      if (!job) continue;
      const run = this.run(slot, job).finally(() => this.running.delete(run));
      this.running.add(run);
    }
    for (const { key, version, engine } of this.queues.waitingVersions()) {
      const copies = this.slots.map((slot) => slot.copies.get(key)).filter((copy) => copy);
      // Either it is on its way, or its executors are being replaced: the next change tells.
      if (copies.some((copy) => copy?.state === 'loading') || !this.isAlive(engine)) continue;
      if (copies.length === 0) {
        this.loadSomewhere(version, engine).catch((error: unknown) => {
          this.queues.failAll(key, error);
        });
      } else {
        const slot = decideSpread(this.view(engine), { key, bytes: version.loadedBytes });
        if (slot !== null) this.loadOn(slot, version).loaded.catch(() => undefined);
      }
    }
  }

  private async run(slot: ExecutorSlot, job: Job): Promise<void> {
    const startMs = performance.now();
    const remainingMs = Math.max(1, Math.ceil(job.deadlineAtMs - startMs));
    try {
      const { outputs, inferMs } = await slot.predict(job.version, job.inputs, remainingMs);
      job.resolve({ outputs, inferMs, queueMs: startMs - job.enqueuedAtMs });
    } catch (error) {
      job.reject(error);
    } finally {
      this.dispatch();
    }
  }

  /** Starts the one load of a version that no executor has, after making room for it. */
  private async loadSomewhere(version: LoadableVersion, engine: EngineName): Promise<Copy> {
    if (!this.isAlive(engine)) {
      throw new ExecutorLostError('The executors are being replaced', { retryAfterSeconds: 1 });
    }
    const key = versionKey(version);
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
    const copy = slot.load(version, this.options.loadDeadlineMs);
    copy.loaded.then(
      () => {
        this.dispatch();
      },
      (error: unknown) => {
        const key = versionKey(version);
        if (!this.slots.some(({ copies }) => copies.has(key))) this.queues.failAll(key, error);
      },
    );
    return copy;
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

function stopping(): ExecutorLostError {
  return new ExecutorLostError('The service is stopping', { retryAfterSeconds: 1 });
}

function overloaded(message: string, details: object): RuntimeOverloadedError {
  return new RuntimeOverloadedError(message, { ...details, retryAfterSeconds: 1 });
}
