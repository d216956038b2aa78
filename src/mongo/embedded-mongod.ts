import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from './free-port';
import { MongodStartError } from './mongo.errors';
import { MongodProcess, type MongodSpawn, REPLICA_SET } from './mongod-process';
import { stopOrphan } from './mongod-orphan';
import { bringToPrimary } from './replica-set';
import { ServiceLock } from './service-lock';

const START_ATTEMPTS = 3;
const FIRST_RESTART_MS = 100;
const LAST_RESTART_MS = 5_000;

export interface EmbeddedMongodOptions {
  /** Database files, log and locks live here; nothing else may use it at the same time. */
  readonly dataDir: string;
  readonly binary: string;
  /** Fail points for tests. */
  readonly testCommands?: boolean;
  /** Otherwise the port of the last start when it is free, else any. */
  readonly port?: number;
  /** Hears what happens after the start: the server ended, the server is back. */
  readonly log?: (message: string) => void;
}

/**
 * A MongoDB of the service's own: a replica set of one member on kept files, on loopback.
 *
 * One owner per data directory. A server that ends by itself is started again on the same port,
 * so a client that holds `uri` reconnects without being told. What was acknowledged by majority is
 * in the journal: it survives the death of the server, of the service, and of both at once.
 */
export class EmbeddedMongod {
  private readonly stopping = new AbortController();
  private readonly supervision: Promise<void>;

  private constructor(
    private readonly lock: ServiceLock,
    private readonly settings: MongodSpawn,
    private server: MongodProcess,
    private readonly log: (message: string) => void,
  ) {
    this.supervision = this.supervise();
  }

  /**
   * @throws DataDirectoryInUseError while another service owns the directory
   * @throws MongodStartError
   */
  static async start(options: EmbeddedMongodOptions): Promise<EmbeddedMongod> {
    const dataDir = resolve(options.dataDir);
    const dbPath = join(dataDir, 'db');
    const log = options.log ?? (() => undefined);
    const lock = await ServiceLock.acquire(dataDir);
    try {
      await mkdir(dbPath, { recursive: true, mode: 0o700 });
      await stopOrphan(dbPath, log);
      const settings = {
        binary: options.binary,
        dbPath,
        logPath: join(dataDir, 'mongod.log'),
        testCommands: options.testCommands ?? false,
      };
      const [port, server] = await startOnSomePort(dataDir, settings, options.port);
      return new EmbeddedMongod(lock, { ...settings, port }, server, log);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  get port(): number {
    return this.settings.port;
  }

  get uri(): string {
    return `mongodb://127.0.0.1:${String(this.port)}/?replicaSet=${REPLICA_SET}`;
  }

  /** Changes when the server had to be started again. */
  get pid(): number {
    return this.server.pid;
  }

  /** Stops the server and keeps the files. Safe to call twice. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.server.stop();
    await this.supervision;
    await this.lock.release();
  }

  private async supervise(): Promise<void> {
    for (;;) {
      await this.server.exited;
      if (this.isStopping()) return;
      this.log(`The embedded database ended: ${await this.server.lastWords()}; starting it again`);
      await this.restart();
    }
  }

  private async restart(): Promise<void> {
    const { signal } = this.stopping;
    for (let delayMs = FIRST_RESTART_MS; ; delayMs = Math.min(delayMs * 2, LAST_RESTART_MS)) {
      // Only `stop` ends this wait early; the loop then ends as well.
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
      if (this.isStopping()) return;
      try {
        this.server = await launch(this.settings, signal);
        // `stop` may have come in the last moment, when it knew only the server before this one.
        if (this.isStopping()) await this.server.stop();
        else this.log('The embedded database is back');
        return;
      } catch (error) {
        if (this.isStopping()) return;
        this.log((error as Error).message);
      }
    }
  }

  private isStopping(): boolean {
    return this.stopping.signal.aborted;
  }
}

async function startOnSomePort(
  dataDir: string,
  settings: Omit<MongodSpawn, 'port'>,
  wanted: number | undefined,
): Promise<[number, MongodProcess]> {
  const portFile = join(dataDir, 'mongod.port');
  const last = Number(await readFile(portFile, 'utf8').catch(() => '0'));
  for (let attempt = 1; ; attempt++) {
    // Only the first attempt may reuse a port: someone can take it between the look and the start.
    const port = wanted ?? (await freePort(attempt === 1 ? last : 0));
    try {
      const server = await launch({ ...settings, port });
      await writeFile(portFile, String(port));
      return [port, server];
    } catch (error) {
      const isTaken = error instanceof MongodStartError && error.details['portTaken'] === true;
      if (!isTaken || wanted !== undefined || attempt === START_ATTEMPTS) throw error;
    }
  }
}

/** Starts the server and waits until it takes writes; on failure nothing is left running. */
async function launch(settings: MongodSpawn, signal?: AbortSignal): Promise<MongodProcess> {
  const server = await MongodProcess.spawn(settings);
  try {
    await bringToPrimary(server, settings.port, signal);
    return server;
  } catch (cause) {
    await server.stop();
    const words = await server.lastWords();
    throw new MongodStartError(
      `The embedded database did not start: ${words}; its log is ${settings.logPath}`,
      { portTaken: /address already in use/i.test(words) },
      { cause },
    );
  }
}
