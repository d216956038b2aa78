import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { EmbeddedMongod } from '../src/mongo/embedded-mongod';
import { resolveMongodBinary } from '../src/mongo/mongod-binary';
import { type ProbeReading } from './probe.entry';

/** Loaded into the service beside its own code, to look at it from the inside. */
const PROBE = join(__dirname, 'probe.entry.js');

const ROOT = join(__dirname, '../..');
const READY_POLL_MS = 50;

/** The real service in a process of its own; its mongod is at hand for the floors. */
export interface BenchService {
  readonly url: string;
  readonly mongoUri: string;
  readonly engine: string;
  readonly pid: number;
  /** What the service's own process used since the last time. */
  probe(): Promise<ProbeReading>;
  stop(): Promise<void>;
}

/**
 * Starts an embedded database in a new folder and the service on it, with settings beside those of
 * the environment; both are gone after `stop`.
 */
export async function startService(
  settings: Readonly<Record<string, string>> = {},
): Promise<BenchService> {
  const dataDir = await mkdtemp(join(tmpdir(), 'gridstow-bench-'));
  const cleanUp: (() => Promise<void>)[] = [
    async () => {
      await rm(dataDir, { recursive: true, force: true });
    },
  ];
  const stop = async (): Promise<void> => {
    for (let step = cleanUp.pop(); step; step = cleanUp.pop()) await step();
  };
  try {
    const binary = await resolveMongodBinary({
      dataDir: join(ROOT, '.gridstow'),
      env: process.env,
      log: console.log,
    });
    const mongod = await EmbeddedMongod.start({ dataDir, binary });
    cleanUp.push(async () => {
      await mongod.stop();
    });
    const child = spawnMain(mongod.uri, dataDir, settings);
    cleanUp.push(async () => {
      await end(child);
    });
    const url = await listeningUrl(child);
    const probe = async (): Promise<ProbeReading> => {
      const answer = once(child, 'message');
      child.send('read');
      const [reading] = (await answer) as [ProbeReading];
      return reading;
    };
    const [engine, pid] = [await readyEngine(url), child.pid ?? 0];
    return { url, mongoUri: mongod.uri, engine, pid, probe, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function spawnMain(
  mongoUri: string,
  dataDir: string,
  settings: Readonly<Record<string, string>>,
): ChildProcess {
  return spawn(process.execPath, ['--require', PROBE, join(ROOT, 'dist/src/main.js')], {
    env: {
      ...process.env,
      MONGODB_URI: mongoUri,
      GRIDSTOW_DATA_DIR: dataDir,
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'error',
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

async function listeningUrl(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const url = /listening on (\S+)/.exec(line)?.[1];
    if (url !== undefined) {
      // Whatever it still prints must not fill the pipe.
      child.stdout!.resume();
      return url;
    }
  }
  throw new TypeError('the service ended before it listened');
}

async function readyEngine(url: string): Promise<string> {
  for (;;) {
    const response = await fetch(`${url}/health/ready`);
    const { engine } = (await response.json()) as { engine: { name: string } };
    if (response.ok) return engine.name;
    await sleep(READY_POLL_MS);
  }
}
