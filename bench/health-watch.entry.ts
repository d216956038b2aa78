import { Agent, get } from 'node:http';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks a service again and again whether it is alive, from a process that does nothing else, and
 * says at each message of its parent how long the answers took since the last one.
 */

/** Times of the answers between two questions. */
export interface HealthReading {
  readonly answers: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const PAUSE_MS = 5;

let timesMs: number[] = [];

process.once('disconnect', () => process.exit());
process.on('message', () => {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN;
  const reading: HealthReading = {
    answers: sorted.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: sorted.at(-1) ?? NaN,
  };
  timesMs = [];
  process.send?.(reading);
});

async function main(url: string): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (;;) {
    const startMs = performance.now();
    const isAlive = await new Promise<boolean>((resolve) => {
      get(url, { agent }, (response) => {
        response.resume().once('end', () => {
          resolve(response.statusCode === 200);
        });
      }).once('error', () => {
        resolve(false);
      });
    });
    if (isAlive) timesMs.push(performance.now() - startMs);
    await sleep(PAUSE_MS);
  }
}

void main(process.argv[2] ?? '');
