import { setTimeout as sleep } from 'node:timers/promises';

import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';

import { StoreError } from '../common/errors';
import { DEFAULT_ALIAS } from '../common/model-ref';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { LOGGER, type Logger } from '../http/logger';
import { Metrics, type RuntimeLevels } from '../metrics/metrics';
import { AliasMovesRepository, type MoveStream } from '../models/alias-moves.repository';
import { VersionResolver } from '../models/version-resolver.service';
import { type LoadableVersion } from '../models/version';
import { toLoadable, type VersionDoc } from '../models/version.doc';
import { VersionsRepository } from '../models/versions.repository';
import { versionKey } from './executor-protocol';
import { decidePins } from './live.policy';
import { ModelRuntime } from './model-runtime.service';
import { VersionRenewal } from './version-renewal.service';

/** How often it is looked after moves while they cannot be watched, and after lost executors. */
const POLL_MS = 1_000;
/** How long a watched move may wait to be asked for. */
const WATCH_MS = 250;

/**
 * Keeps what `live` points at in memory, and follows the moves that other replicas make.
 *
 * Moves are watched, four times a second; where they cannot be, the pointers are asked for every
 * second, so a move made elsewhere is known here within two seconds in any case. A version that `live` comes to point at
 * is loaded and run before requests here learn of the move. What fails to load is logged and left
 * to the requests that ask for it: it never keeps the service from becoming ready.
 */
@Injectable()
export class LiveVersions implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly closing = new AbortController();
  private following: Promise<void> | undefined;
  private stream: MoveStream | undefined;
  /** Whether moves are told by the database rather than asked for. */
  private watching = false;
  private looking: Promise<void> | undefined;
  /** How often a look was asked for. */
  private wanted = 0;
  private settled = false;
  private kept: ReadonlySet<string> = new Set();
  private restartsSeen = 0;

  constructor(
    private readonly moves: AliasMovesRepository,
    private readonly versions: VersionsRepository,
    private readonly resolver: VersionResolver,
    private readonly runtime: ModelRuntime,
    private readonly renewal: VersionRenewal,
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Whether the versions that were live at the start have been loaded, or have failed to. */
  get isSettled(): boolean {
    return this.settled;
  }

  onApplicationBootstrap(): void {
    this.metrics.watchRuntime(() => this.levels());
    this.following = this.follow();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.closing.abort();
    await this.stream?.close().catch(() => undefined);
    await this.following;
  }

  private get isClosing(): boolean {
    return this.closing.signal.aborted;
  }

  private async follow(): Promise<void> {
    const keeping = setInterval(() => {
      if (this.restartsSeen !== this.restarts()) void this.look();
    }, POLL_MS);
    while (!this.isClosing) {
      await this.look();
      await this.watch().catch((error: unknown) => {
        if (this.watching && !this.isClosing) {
          this.logger.warn(
            { err: error },
            'alias moves cannot be watched; asking for them instead',
          );
        }
      });
      this.watching = false;
      await this.stream?.close().catch(() => undefined);
      await this.pause(POLL_MS);
    }
    clearInterval(keeping);
    await this.looking;
  }

  private async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.closing.signal }).catch(() => undefined);
  }

  /** Returns or throws when moves cannot be watched any longer. */
  private async watch(): Promise<void> {
    if (this.isClosing) return;
    const stream = this.moves.watch();
    this.stream = stream;
    // The first question opens the stream: what moved before is found by looking.
    const first = await stream.tryNext();
    this.watching = true;
    if (first) this.forget(first.fullDocument.model);
    void this.look();
    const { signal } = this.closing;
    while (!signal.aborted) {
      const move = await stream.tryNext();
      if (move) this.forget(move.fullDocument.model);
      else await this.pause(WATCH_MS);
    }
  }

  /** Lets requests see a move of a model made elsewhere, once its new version is warm. */
  private forget(model: string): void {
    void this.look().then(() => {
      this.resolver.forget(model);
    });
  }

  /** Brings memory in line with the pointers; one look at a time, and one more for late callers. */
  private async look(): Promise<void> {
    this.wanted++;
    this.looking ??= this.lookUntilDone().finally(() => {
      this.looking = undefined;
    });
    await this.looking;
  }

  private async lookUntilDone(): Promise<void> {
    let seen: number;
    do {
      seen = this.wanted;
      try {
        const live = await this.versions.listPinnedBy(DEFAULT_ALIAS);
        await this.keepInMemory(live.filter(({ format }) => format !== 'opaque'));
        this.settled = true;
      } catch (error) {
        this.logger.debug({ err: error }, 'the live versions could not be looked up');
      }
    } while (seen !== this.wanted && !this.isClosing);
  }

  private async keepInMemory(docs: readonly VersionDoc[]): Promise<void> {
    const kept = decidePins(docs.map(toLoadable), this.config.memoryBytes);
    const [before, restarts] = [this.kept, this.restarts()];
    const wasLost = restarts !== this.restartsSeen;
    this.kept = new Set(kept.map(versionKey));
    this.restartsSeen = restarts;
    this.runtime.pin(kept);
    for (const version of kept) {
      const isNew = !before.has(versionKey(version));
      // What an operator took out of memory stays out until somebody asks for it.
      if (this.isClosing || !(isNew || (wasLost && !this.isInMemory(versionKey(version)))))
        continue;
      await this.bring(version).catch((error: unknown) => {
        const { model, version: number } = version;
        // Its executor may only be starting again: tried anew with the next look.
        if (error instanceof StoreError && error.kind === 'unavailable') this.restartsSeen = -1;
        this.logger.warn({ err: error, model, version: number }, 'a live version is not loaded');
      });
      if (isNew) this.resolver.forget(version.model);
    }
  }

  /** Runs only what a test load has seen end: nothing else may keep the executors of others busy. */
  private async bring(version: LoadableVersion): Promise<void> {
    const isProven = Object.values(version.engines).some(({ ok }) => ok);
    if (!isProven) {
      await this.runtime.load(version);
      return;
    }
    if (!this.runtime.canRun(version)) {
      // Nothing that was proven counts here: another engine, or another release of the compiler.
      const engines = await this.renewal.renew(version);
      if (engines) await this.runtime.warm({ ...version, engines });
      return;
    }
    await this.runtime.warm(version);
    if (this.runtime.isStale(version)) void this.renewal.renew(version);
  }

  private isInMemory(key: string): boolean {
    return this.runtime
      .state()
      .executors.some(({ versions }) => versions.some((copy) => versionKey(copy) === key));
  }

  private levels(): RuntimeLevels {
    const { budgetBytes, executors } = this.runtime.state();
    return {
      budgetBytes,
      waiting: this.runtime.waiting,
      executors: executors.map(({ pid, versions, ...executor }) => ({
        ...executor,
        up: pid !== null,
        versions: versions.length,
        bytes: versions.reduce((sum, { bytes }) => sum + bytes, 0),
      })),
      liveMissing: [...this.kept].filter((key) => !this.isInMemory(key)).length,
    };
  }

  private restarts(): number {
    return this.runtime.state().executors.reduce((sum, { restarts }) => sum + restarts, 0);
  }
}
