import { performance } from 'node:perf_hooks';

import { type NamedTensors } from '../common/tensor';
import { type LoadableVersion } from '../models/version';
import { type StackedTensors } from './batch';
import { type EngineName } from './engines/engine';
import { type Executor } from './executor';
import { type Vitals, versionKey } from './executor-protocol';
import { type RecycleQuestion } from './recycle.policy';
import { ExecutorLostError } from './runtime.errors';

const UNLOAD_DEADLINE_MS = 30_000;
/** A process that lived at least this long is replaced at once. */
const STEADY_MS = 5_000;
const FIRST_DELAY_MS = 100;
const LAST_DELAY_MS = 5_000;

/** One version in this slot's executor; memory only, gone with the process. */
export interface Copy {
  readonly version: LoadableVersion;
  /** Estimated until it is loaded, measured afterwards. */
  bytes: number;
  state: 'loading' | 'ready';
  lastUsedAtMs: number;
  /** Predictions that compute with it right now. */
  leases: number;
  readonly loaded: Promise<void>;
  /** What was wrong with the stored compiled form, when it was compiled anew instead. */
  damage: string | null;
}

/** Keeps the stored bytes of a version from being deleted while they are read. */
export type HoldWhile = <T>(version: LoadableVersion, read: () => Promise<T>) => Promise<T>;

/**
 * A place for one executor: when the process dies another one takes it, empty.
 *
 * The first replacement comes at once; one that dies young is replaced after a growing pause, so
 * that a machine on which nothing starts is not kept busy with trying.
 */
export class ExecutorSlot {
  readonly copies = new Map<string, Copy>();
  executor: Executor | undefined;
  /** Whether a prediction is being computed here. */
  busy = false;
  restarts = 0;
  private retiring = false;
  private atLoad: Vitals = { tensors: 0, rssBytes: 0 };
  private stopped = false;
  private delayMs = 0;
  private retry: NodeJS.Timeout | undefined;

  constructor(
    readonly id: number,
    readonly engine: EngineName,
    private readonly startExecutor: (engine: EngineName) => Promise<Executor>,
    private readonly changed: () => void,
    private readonly log: (message: string) => void,
    private readonly holdWhile: HoldWhile,
  ) {}

  /** @throws EngineUnavailableError when the engine cannot run here at all */
  async start(): Promise<void> {
    const executor = await this.startExecutor(this.engine);
    if (this.stopped) {
      await executor.stop();
      return;
    }
    this.executor = executor;
    this.retiring = false;
    const startedAt = Date.now();
    void executor.ended.then((reason) => {
      this.executor = undefined;
      this.copies.clear();
      this.busy = false;
      if (this.stopped) return;
      this.log(`Executor ${this.id} (${this.engine}, pid ${executor.pid}) ended: ${reason}`);
      this.replace(Date.now() - startedAt);
      this.changed();
    });
  }

  /** Whether requests can be sent: between a kill and the process' end they cannot. */
  get isUp(): boolean {
    return this.executor?.isAlive === true && !this.retiring;
  }

  /** Loads a version once, however many ask for it. */
  load(version: LoadableVersion, deadlineMs: number): Copy {
    const key = versionKey(version);
    const known = this.copies.get(key);
    if (known) return known;
    const copy: Copy = {
      version,
      bytes: version.loadedBytes,
      state: 'loading',
      lastUsedAtMs: performance.now(),
      leases: 0,
      damage: null,
      loaded: this.holdWhile(
        version,
        async () => await this.alive().load(version, deadlineMs),
      ).then(
        ({ bytes, vitals, compiled }) => {
          copy.bytes = Math.max(bytes, version.loadedBytes);
          copy.state = 'ready';
          copy.damage = compiled?.damage ?? null;
          this.atLoad = vitals;
        },
        (error: unknown) => {
          if (this.copies.get(key) === copy) this.copies.delete(key);
          throw error;
        },
      ),
    };
    this.copies.set(key, copy);
    return copy;
  }

  async predict(
    version: LoadableVersion,
    inputs: NamedTensors | StackedTensors,
    deadlineMs: number,
  ): Promise<{ readonly outputs: NamedTensors; readonly inferMs: number }> {
    const executor = this.alive();
    const copy = this.copies.get(versionKey(version));
    this.busy = true;
    if (copy) copy.leases++;
    try {
      return await executor.predict(version, inputs, deadlineMs);
    } finally {
      if (copy) {
        copy.leases--;
        copy.lastUsedAtMs = performance.now();
      }
      // A successor is not busy with this.
      if (this.executor === executor) this.busy = false;
    }
  }

  async unload(key: string): Promise<void> {
    if (!this.copies.delete(key)) return;
    try {
      await this.executor?.unload(key, UNLOAD_DEADLINE_MS);
    } catch (error) {
      // A lost process has unloaded everything.
      if (!(error instanceof ExecutorLostError)) throw error;
    }
  }

  /** Has the process replaced by a fresh one when it has grown and nobody needs it right now. */
  recycleIfGrown(decide: (question: RecycleQuestion) => string | null): void {
    const { executor } = this;
    const copies = [...this.copies.values()];
    if (!executor || !this.isUp || this.busy || this.stopped) return;
    if (copies.some(({ state }) => state === 'loading')) return;
    const loadedBytes = copies.reduce((sum, { bytes }) => sum + bytes, 0);
    const reason = decide({ now: executor.vitals, atLoad: this.atLoad, loadedBytes });
    if (reason === null) return;
    this.log(`Executor ${this.id} (${this.engine}) is replaced: ${reason}`);
    this.retiring = true;
    void executor.stop();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.retry);
    await this.executor?.stop();
  }

  private alive(): Executor {
    if (this.executor) return this.executor;
    throw new ExecutorLostError('The executor is being replaced', { retryAfterSeconds: 1 });
  }

  private replace(livedMs: number): void {
    this.restarts++;
    this.delayMs =
      livedMs >= STEADY_MS || this.restarts === 1
        ? 0
        : Math.min(Math.max(this.delayMs * 2, FIRST_DELAY_MS), LAST_DELAY_MS);
    this.retry = setTimeout(() => {
      this.start().then(this.changed, (error: unknown) => {
        this.log(`Executor ${this.id} (${this.engine}) does not start: ${String(error)}`);
        if (!this.stopped) this.replace(0);
      });
    }, this.delayMs);
  }
}
