import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type MongoClient } from 'mongodb';

import { InlineCodec } from '../../src/artifacts/codec/inline.codec';
import { readConfig } from '../../src/config/config';
import { openStoreKeeping } from '../../src/models/store-keeping';
import { createClient } from '../../src/mongo/connect';
import { embeddedUri } from '../support/embedded-uri';
import { findViolations } from '../support/invariants';
import { type SpawnedService, spawnService } from '../support/spawn-service';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

/** `npm run chaos` sets these; `CHAOS_SEED` repeats the draws of an earlier run. */
const KILLS = Number(process.env['CHAOS_KILLS'] ?? 7);
const SEED = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 31));
const WITHIN_MS = Number(process.env['CHAOS_MINUTES'] ?? 45) * 60_000;

const MODELS = ['a', 'b'];
const WORKERS = 3;
const files = fixtureFiles('tfjs/cancer-mlp.k3h5.fixed');
const chance = draws(SEED);

let dataDir: string;
let service: SpawnedService;
let uploads = 0;
const promised = { ready: new Map<string, string>(), deletionAsked: new Set<string>() };
const tally = new Map<string, number>();

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gridstow-chaos-'));
  service = await start();
});

afterAll(async () => {
  await service.kill('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

async function start(): Promise<SpawnedService> {
  return await spawnService({
    GRIDSTOW_DATA_DIR: dataDir,
    GRIDSTOW_DELETE_GRACE_MS: '0',
    LOG_LEVEL: 'silent',
  });
}

/** Numbers from 0 to 1 that follow from the seed (mulberry32). */
function draws(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(chance() * items.length)];
const print = (line: string): void => {
  process.stderr.write(`chaos: ${line}\n`);
};

/** One random step of a client that goes on whatever happens, and remembers what it was told. */
async function step(): Promise<void> {
  const model = pick(MODELS) ?? 'a';
  const api = `${service.url}/api/models/${model}`;
  const version = pick(
    [...promised.ready.keys()].filter((id) => id.startsWith(`${model}/`)),
  )?.split('/')[1];
  const choice = chance();
  if (choice < 0.5 || version === undefined) {
    const key = `upload-${++uploads}`;
    const note = { ...files, 'note.txt': chance() < 0.2 ? 'the same' : key };
    const { status, body } = await upload(service.url, model, note, {
      headers: { 'Idempotency-Key': key },
    });
    count(`upload ${status}`);
    if (status === 200 || status === 201)
      promised.ready.set(`${model}/${body.version}`, body.digest);
  } else if (choice < 0.75) {
    const alias = pick(['live', 'canary']) ?? 'live';
    const answer = await sendJson('PUT', `${api}/aliases/${alias}`, { version: Number(version) });
    count(`promote ${answer.status}`);
  } else {
    promised.deletionAsked.add(`${model}/${version}`);
    const answer = await sendJson('DELETE', `${api}/versions/${version}`);
    count(`delete ${answer.status}`);
  }
}

function count(outcome: string): void {
  tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
}

async function firstAnswer(): Promise<void> {
  const total = (): number => [...tally.values()].reduce((sum, times) => sum + times, 0);
  const [before, giveUpAt] = [total(), Date.now() + 20_000];
  while (total() === before && Date.now() < giveUpAt) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function round(number: number): Promise<string[]> {
  let isOver = false;
  const isRunning = (): boolean => !isOver;
  const workers = Array.from({ length: WORKERS }, async () => {
    while (isRunning()) await step().catch(() => new Promise((resolve) => setTimeout(resolve, 20)));
  });
  // Mostly once the first has been answered: a start is slow, and its middle is hit often enough.
  if (chance() < 0.8) await firstAnswer();
  await new Promise((resolve) => setTimeout(resolve, 50 + chance() * 1_500));
  const isDatabase = chance() < 0.2;
  if (isDatabase) {
    const { pid } = await inDatabase(
      async (client) => await client.db('admin').command({ serverStatus: 1 }),
    );
    process.kill(Number(pid), 'SIGKILL');
    // What was under way meets a database that goes away and comes back.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
  }
  await service.kill('SIGKILL');
  isOver = true;
  await Promise.all(workers);
  service = await start();
  const violations = await inDatabase(async (client) => {
    const db = client.db('gridstow');
    const { sweeper } = openStoreKeeping(
      db,
      new InlineCodec(),
      readConfig({ GRIDSTOW_DELETE_GRACE_MS: '0' }),
    );
    // The service sweeps by itself as well; only one at a time does.
    while (!(await sweeper.sweep({ pauseMs: 0 })).finished) {
      await db.collection('leaders').updateMany({}, { $set: { until: new Date(0) } });
    }
    return await findViolations(db, promised);
  });
  const summary = [...tally].map(([outcome, times]) => `${outcome}: ${times}`).sort();
  print(
    `kill ${number}/${KILLS} of the ${isDatabase ? 'database' : 'service'}, ` +
      `${promised.ready.size} versions, ${violations.length} violations; ${summary.join(', ')}`,
  );
  return violations;
}

async function inDatabase<T>(look: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = createClient(await embeddedUri(dataDir), { appName: 'chaos' });
  try {
    return await look(client);
  } finally {
    await client.close();
  }
}

it(
  `loses nothing acknowledged and leaves nothing behind over ${KILLS} kills at random times (2-6, 26, 139)`,
  async () => {
    print(`seed ${SEED}; CHAOS_SEED=${SEED} repeats its draws`);
    const endAt = Date.now() + WITHIN_MS;
    for (let number = 1; number <= KILLS && Date.now() < endAt; number++) {
      expect([SEED, number, await round(number)]).toEqual([SEED, number, []]);
    }
    expect(promised.ready.size).toBeGreaterThan(KILLS / 10);
  },
  WITHIN_MS + 120_000,
);
