import assert from 'node:assert';
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';

import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';

import { type NamedTensors } from '../common/tensor';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { LOGGER, type Logger } from '../http/logger';
import { Metrics } from '../metrics/metrics';
import { QuarantineService } from '../models/quarantine.service';
import { type TestLoader, type TestLoadResult } from '../models/test-loader.port';
import { type LoadableVersion } from '../models/version';
import { VersionLeases } from '../models/version-leases.service';
import {
  allowedEngines,
  canRun,
  engineFor,
  isStale,
  lacksForm,
  LARGE_BATCH_ROWS,
} from './engine-choice';
import { type EngineName } from './engines/engine';
import { installedEngines } from './engines/installed-engines';
import { sweepScratch } from './engines/scratch-folder';
import { Executor, type ExecutorOptions } from './executor';
import {
  ExecutorPool,
  type PoolState,
  type PredictOptions,
  type Prediction,
} from './executor-pool';
import { versionKey } from './executor-protocol';
import { KILL_WINDOW_MS, KillLog, KILLS_ALLOWED } from './kill.policy';
import { EngineUnavailableError, VersionHarmfulError } from './runtime.errors';
import { LOAD_DEADLINE_MS } from './load.policy';
import { Sandbox } from './sandbox';
import { TestLoad } from './test-load';
import { warmUp } from './warm-up';

/** What an executor may take beyond the budget for weights: Node, the engine, intermediate results. */
const SPARE_RSS_BYTES = 1024 * 1024 * 1024;

export interface RuntimePrediction extends Prediction {
  readonly engine: EngineName;
}

/** Told of each load, and of what was wrong with the stored compiled form if it could not be used. */
export type LoadWatch = (version: LoadableVersion, damage: string | null) => void;

/** Which engine serves, and why that one. */
export interface EngineDescription {
  readonly ready: boolean;
  readonly name: string;
  readonly why: string;
}

/**
 * Runs models, never in this process.
 *
 * Chooses the engine for each version, keeps the executors and what is loaded in them, and tries
 * new versions apart from those that serve. A request keeps the version that it came with, whatever
 * is loaded or moved meanwhile.
 */
@Injectable()
export class ModelRuntime implements TestLoader, OnModuleInit, OnApplicationShutdown {
  private readonly allowed: readonly [EngineName, ...EngineName[]];
  private readonly sandbox: Sandbox;
  private readonly tests: TestLoad;
  private readonly kills = new KillLog();
  private draining = false;
  private loadWatch: LoadWatch = () => undefined;
  private pool: ExecutorPool | undefined;
  private started: { readonly engine: EngineName; readonly why: string } | undefined;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly logger: Logger,
    private readonly quarantine: QuarantineService,
    private readonly metrics: Metrics,
    private readonly leases: VersionLeases,
  ) {
    this.allowed = allowedEngines(config.engine, installedEngines());
    const startExecutor = async (engine: EngineName): Promise<Executor> =>
      await this.startExecutor(engine);
    this.sandbox = new Sandbox(startExecutor);
    this.tests = new TestLoad(this.sandbox, config.openTimeoutMs, config.predictTimeoutMs);
  }

  /** @throws EngineUnavailableError when no allowed engine starts here */
  async onModuleInit(): Promise<void> {
    // What executors left when they were killed in the middle of opening a model.
    await sweepScratch(this.config.dataDir);
    const failures: string[] = [];
    for (const engine of this.allowed) {
      const pool = this.newPool(engine);
      try {
        await pool.start();
        this.pool = pool;
        this.started = { engine, why: this.reasonFor(engine, pool, failures) };
        return;
      } catch (error) {
        await pool.stop();
        if (!(error instanceof EngineUnavailableError)) throw error;
        failures.push(error.message);
      }
    }
    throw new EngineUnavailableError(failures.join('; '));
  }

  /** Lets calls under way finish and refuses all others from now on; not ready any more. */
  async drain(): Promise<void> {
    this.draining = true;
    await this.pool?.drain();
  }

  async onApplicationShutdown(): Promise<void> {
    // What had not finished by now is not waited for again.
    await Promise.all([this.pool?.stop(this.draining ? 0 : undefined), this.sandbox.stop()]);
  }

  /**
   * Computes the outputs for one batch, loading the version first where no executor has it.
   *
   * @throws StoreError of kind `deadline` (too late), `unavailable` (its executor was lost),
   * `overloaded` (no memory or too many waiting), `invalid` (the model cannot compute this) or
   * `corrupt` (the stored bytes are damaged)
   */
  async predict(
    version: LoadableVersion,
    inputs: NamedTensors,
    options: Partial<PredictOptions> = {},
  ): Promise<RuntimePrediction> {
    const engine = engineFor(this.allowed, version, this.rowsAhead(version, inputs));
    const { deadlineMs = this.config.predictTimeoutMs, batching, signal } = options;
    const { outputs, queueMs, inferMs, batchRows } = await this.guard(
      version,
      async () =>
        await this.running().predict(version, engine, inputs, { deadlineMs, batching, signal }),
    );
    return { outputs, queueMs, inferMs, batchRows, engine };
  }

  /** @throws ModelUnloadableError naming what is missing, when no allowed engine runs the version */
  async testLoad(version: LoadableVersion): Promise<TestLoadResult> {
    return await this.tests.run(version, this.allowed);
  }

  /** Does nothing for files that are only kept: an alias may point at them, nobody predicts. */
  async warm(version: LoadableVersion): Promise<void> {
    if (version.format === 'opaque') return;
    await this.load(version);
    await warmUp(version.signature.inputs, async (inputs) => await this.predict(version, inputs));
  }

  /** Loads a version on each engine that its calls would be given to. */
  async load(version: LoadableVersion): Promise<void> {
    const engines = new Set(
      [1, LARGE_BATCH_ROWS].map((rows) => engineFor(this.allowed, version, rows)),
    );
    await this.guard(version, async () => {
      for (const engine of engines) await this.running().load(version, engine);
    });
  }

  /** Whether an engine that is allowed here was proven to run the version, or may be tried. */
  canRun(version: LoadableVersion): boolean {
    return canRun(this.allowed, version);
  }

  /** Whether an engine came, or changed, since the version was measured. */
  isStale(version: LoadableVersion): boolean {
    return isStale(this.allowed, version, this.running().descriptions());
  }

  /** Whether the version could have a stored compiled form of this release, and has none. */
  lacksForm(version: LoadableVersion): boolean {
    return lacksForm(this.allowed, version);
  }

  watchLoads(watch: LoadWatch): void {
    this.loadWatch = watch;
  }

  async unload(version: { readonly model: string; readonly version: number }): Promise<void> {
    await this.running().unload(versionKey(version));
  }

  /** Names the versions that stay in memory once they are there: those that aliases point at. */
  pin(versions: readonly { readonly model: string; readonly version: number }[]): void {
    this.running().pin(new Set(versions.map(versionKey)));
  }

  /** Requests in the queue, by model. */
  get waiting(): ReadonlyMap<string, number> {
    return this.running().waiting;
  }

  state(): PoolState {
    return this.running().state();
  }

  describe(): EngineDescription {
    const { pool, started } = this;
    if (!pool || !started) {
      return { ready: false, name: this.config.engine, why: 'The executors are starting' };
    }
    if (this.draining)
      return { ready: false, name: started.engine, why: 'The service is stopping' };
    const ready = pool.executors().length > 0;
    return {
      ready,
      name: started.engine,
      why: ready ? started.why : 'No executor is up; they are being replaced',
    };
  }

  /** Takes a version out of service as soon as a load finds its stored bytes damaged. */
  private async guard<T>({ model, version }: LoadableVersion, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await this.quarantine.report(model, version, error);
      throw error;
    }
  }

  /** Takes a version out of service that keeps costing executors their lives (133). */
  private killed(version: LoadableVersion, reason: string): void {
    const { model, version: number } = version;
    this.logger.warn({ model, version: number, reason }, 'an executor was lost to a version');
    if (!this.kills.add(versionKey(version), performance.now())) return;
    const error = new VersionHarmfulError(
      `It ended ${KILLS_ALLOWED} executors within ${KILL_WINDOW_MS / 60_000} minutes; the last time: ${reason}`,
      { model, version: number },
    );
    this.quarantine
      .quarantine(model, number, error)
      .then(async () => {
        await this.unload(version);
      })
      .catch((cause: unknown) => {
        this.logger.error({ err: cause, model, version: number }, 'quarantine failed');
      });
  }

  /** Rows of a request and of those that it is likely to share its call with. */
  private rowsAhead({ model }: LoadableVersion, inputs: NamedTensors): number {
    const [first] = Object.values(inputs);
    return (first?.shape[0] ?? 1) + (this.waiting.get(model) ?? 0);
  }

  private running(): ExecutorPool {
    assert(this.pool, 'the runtime is used only after it has started');
    return this.pool;
  }

  private newPool(engine: EngineName): ExecutorPool {
    return new ExecutorPool({
      engine,
      executors: this.config.executors,
      // What does not compile must not have less room than it would have without the first choice.
      equals: ['wasm'],
      budgetBytes: this.config.memoryBytes,
      loadDeadlineMs: LOAD_DEADLINE_MS,
      startExecutor: async (name) => await this.startExecutor(name),
      log: (message) => {
        this.logger.warn(message);
      },
      observer: {
        called: this.metrics.called.bind(this.metrics),
        loaded: (version, name, ms, damage) => {
          this.metrics.loaded(version, name, ms);
          this.loadWatch(version, damage);
        },
        loadFailed: this.metrics.loadFailed.bind(this.metrics),
        killed: (version, reason) => {
          this.killed(version, reason);
        },
      },
      holdWhile: async (version, read) => await this.leases.holdWhile(version, 'load', read),
    });
  }

  private async startExecutor(engine: EngineName): Promise<Executor> {
    const { uri, db } = this.config.mongodb;
    assert(uri, 'the start fills in the address of the embedded database');
    const options: ExecutorOptions = {
      engine,
      // All executors together have every core, and no more.
      threads: Math.max(1, Math.floor(availableParallelism() / this.config.executors)),
      files: { uri, db },
      maxRssBytes: this.config.memoryBytes + SPARE_RSS_BYTES,
      scratchDir: this.config.dataDir,
      log: (line) => {
        this.logger.debug({ engine }, line);
      },
    };
    return await Executor.start(options);
  }

  private reasonFor(engine: EngineName, pool: ExecutorPool, failures: readonly string[]): string {
    const description = pool.executors()[0]?.description ?? engine;
    if (this.config.engine !== 'auto') {
      return `${description}, as GRIDSTOW_ENGINE=${this.config.engine} demands`;
    }
    const rest = this.allowed.slice(this.allowed.indexOf(engine) + 1);
    const choice =
      failures.length > 0 ? `because ${failures.join('; ')}` : 'the first choice of auto';
    return rest.length > 0
      ? `${description}, ${choice}; ${rest.join(', then ')} for models that it does not run`
      : `${description}, ${choice}`;
  }
}
