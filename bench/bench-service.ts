import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { EmbeddedMongod } from '../src/mongo/embedded-mongod';
import { resolveMongodBinary } from '../src/mongo/mongod-binary';

/** The real service in a process of its own, with its mongod reachable for the floors. */
export interface BenchService {
  readonly url: string;
  readonly mongoUri: string;
  stop(): Promise<void>;
}

export async function startBenchService(): Promise<BenchService> {
  const root = join(__dirname, '../..');
  const dataDir = await mkdtemp(join(tmpdir(), 'gridstow-bench-'));
  const binary = await resolveMongodBinary({
    dataDir: join(root, '.gridstow'),
    env: process.env,
    log: console.log,
  });
  const mongod = await EmbeddedMongod.start({ dataDir, binary });
  const child = spawn(process.execPath, [join(root, 'dist/src/main.js')], {
    env: { ...process.env, MONGODB_URI: mongod.uri, PORT: '0', LOG_LEVEL: 'error' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await listeningUrl(child);
  return {
    url,
    mongoUri: mongod.uri,
    stop: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
      await mongod.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function listeningUrl(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new TypeError('the service was started without a pipe');
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /listening on (\S+)/.exec(line)?.[1];
    if (url !== undefined) {
      // Whatever it still prints must not fill the pipe.
      child.stdout.resume();
      return url;
    }
  }
  throw new TypeError('the service ended before it listened');
}
