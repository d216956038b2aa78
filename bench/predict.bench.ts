import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import autocannon from 'autocannon';

import { alternate, type Contender } from './alternate';
import { denseModel, uploadModel } from './bench-models';
import { type BenchService } from './bench-service';
import { report, type Result } from './report';

const UNITS = [30, 64, 32, 1];
const SECONDS = 2;

/** How many predictions a second, with and without a record of each, and where is the limit? */
export async function benchPredict(service: BenchService, rounds: number): Promise<void> {
  const files = denseModel(UNITS, 7);
  await uploadModel(service.url, 'mlp', files);
  await uploadModel(service.url, 'mlp-unrecorded', files);
  await fetch(`${service.url}/api/models/mlp-unrecorded`, {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ recording: 'off' }),
  });
  const [silent, inProcess] = [await startFloor('silent'), await startFloor('in-process')];
  const results: Result[] = [];
  try {
    for (const connections of [1, 32]) {
      const latencies = new Map<string, number[]>();
      const over = (name: string, role: Contender['role'], url: string): Contender => ({
        name,
        role,
        run: async () => {
          const { perSecond, p99 } = await load(url, connections);
          latencies.set(name, [...(latencies.get(name) ?? []), p99]);
          return perSecond;
        },
      });
      const api = `${service.url}/api/models`;
      const figures = await alternate(
        [
          over('service, every prediction recorded durably', 'ours', `${api}/mlp/predict`),
          over('service, recording off', 'ours', `${api}/mlp-unrecorded/predict`),
          over('node:http that calls tfjs wasm on its one thread', 'peer', inProcess.url),
          over('node:http that reads the body and answers nothing', 'floor', silent.url),
          ...(connections === 1 ? [await bareEngine()] : []),
        ],
        rounds,
      );
      results.push({
        question: `Predictions of a 30-64-32-1 MLP, JSON, ${connections} connection(s)`,
        unit: 'requests/s',
        rounds,
        figures,
        notes: [...latencies].map(
          ([name, p99]) => `p99 ${Math.max(...p99).toFixed(0)} ms at worst: ${name}`,
        ),
      });
    }
  } finally {
    for (const { process } of [silent, inProcess]) process.kill('SIGTERM');
  }
  report('predict', results);
}

const row = Array.from({ length: 30 }, (_, index) => Math.sin(index));

async function load(
  url: string,
  connections: number,
): Promise<{ readonly perSecond: number; readonly p99: number }> {
  // A distinct caller's id is not needed: inputs repeat, as they do in production.
  const result = await autocannon({
    url,
    connections,
    duration: SECONDS,
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ instances: [row] }),
  });
  if (result.non2xx > 0 || result.errors > 0) {
    throw new TypeError(`${url}: ${result.non2xx} refused, ${result.errors} failed`);
  }
  return { perSecond: result['2xx'] / result.duration, p99: result.latency.p99 };
}

interface Floor {
  readonly url: string;
  readonly process: ChildProcess;
}

async function startFloor(kind: 'silent' | 'in-process'): Promise<Floor> {
  const child = fork(join(__dirname, 'floor-server.entry.js'), [kind, UNITS.join('-')]);
  const [port] = (await once(child, 'message')) as [number];
  return { url: `http://127.0.0.1:${port}/`, process: child };
}

/** The engine alone, in a process of its own: no server can be faster. */
async function bareEngine(): Promise<Contender> {
  await Promise.resolve();
  return {
    name: 'bare engine, one thread, no HTTP, one row a call',
    role: 'floor',
    run: async () => {
      const child = fork(join(__dirname, 'floor-server.entry.js'), ['loop', UNITS.join('-')]);
      const [perSecond] = (await once(child, 'message')) as [number];
      return perSecond;
    },
  };
}
