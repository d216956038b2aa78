import { createClient } from '../../src/mongo/connect';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { serviceAppName, whileFailing } from '../support/fail-command';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const FOLLOWS_WITHIN_MS = 2_000;
/** A bound on hangs. */
const PATIENCE_MS = 80_000;
const admin = createClient(testMongoUri(), { appName: 'arming' });
let here: BootedService;
let there: BootedService;

beforeAll(async () => {
  here = await bootService();
  for (const name of ['tfjs/digits-cnn-v1.k3h5.fixed', 'tfjs/digits-cnn-v2.k3h5.fixed']) {
    expect((await upload(here.url, 'digits', fixtureFiles(name))).status).toBe(201);
  }
  // As if the engine had been another release when the version was measured.
  const engine = here.service.engine.name;
  await here.db
    .collection<{ _id: string }>('versions')
    .updateOne({ _id: 'digits/1' }, { $set: { [`engines.${engine}.measuredWith`]: 'older' } });
  there = await bootService({ GRIDSTOW_DB: here.service.config.mongodb.db });
});

afterAll(async () => {
  await there.close();
  await here.close();
  await admin.close();
});

const instances = [Array.from({ length: 8 }, () => Array.from({ length: 8 }, (_, x) => [x / 8]))];
const promote = async (version: number) => {
  const { status } = await sendJson('PUT', `${here.url}/api/models/digits/aliases/live`, {
    version,
  });
  expect(status).toBe(200);
};
const predictThere = async () =>
  await sendJson('POST', `${there.url}/api/models/digits/predict`, { instances });
/** The versions of `digits` that the other replica has in memory and keeps there. */
const pinnedThere = async (): Promise<number[]> => {
  const { body } = await sendJson('GET', `${there.url}/api/runtime`);
  return body.executors.flatMap(({ versions }: any) =>
    versions.filter(({ pinned }: any) => pinned).map(({ version }: any) => version),
  );
};

async function until(condition: () => Promise<boolean>, withinMs: number): Promise<void> {
  const giveUpAt = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > giveUpAt) throw new TypeError(`not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
/**
 * Moves the alias here until the other replica followed once within two seconds: a machine that
 * also does other work may be late, a replica that always is does not keep its promise.
 */
async function expectToFollow(version: number): Promise<void> {
  const delaysMs: number[] = [];
  for (let attempt = 0; attempt < 12; attempt++) {
    if (attempt > 0) await follow(version === 1 ? 2 : 1);
    const startedMs = Date.now();
    await follow(version);
    delaysMs.push(Date.now() - startedMs);
    if (Math.min(...delaysMs) <= FOLLOWS_WITHIN_MS) return;
  }
  throw new TypeError(`followed after ${delaysMs.join(', ')} ms`);
}

/** Resolves when the other replica answers with that version and keeps it, and it alone, pinned. */
async function follow(version: number): Promise<void> {
  await promote(version);
  await until(async () => {
    const { status, body } = await predictThere();
    expect(status).toBe(200);
    return body.version === version;
  }, PATIENCE_MS);
  await until(async () => (await pinnedThere()).join() === String(version), PATIENCE_MS);
}

const isReady = async (): Promise<boolean> => (await fetch(`${there.url}/health/ready`)).ok;

describe('a second replica', () => {
  it('is ready with the live versions in memory, before anybody asked for them', async () => {
    await until(isReady, PATIENCE_MS);

    expect(await pinnedThere()).toEqual([1]);
  });

  it('measures a live version again when its engine is another release', async () => {
    const measuredWith = async (version: number): Promise<string> => {
      const { body } = await sendJson('GET', `${there.url}/api/models/digits/versions/${version}`);
      return body.engines[there.service.engine.name].measuredWith;
    };
    const current = await measuredWith(2);

    expect(current).not.toBe('older');
    await until(async () => (await measuredWith(1)) === current, PATIENCE_MS);
  });

  it('follows a move within two seconds, loads its version by itself, and fails no request', async () => {
    expect((await predictThere()).body.version).toBe(1);

    await expectToFollow(2);
  });

  it('follows when moves cannot be watched', async () => {
    const noStreams = { failCommands: ['aggregate', 'getMore'], errorCode: 8000 };
    await whileFailing(admin, serviceAppName(here.db.databaseName), noStreams, async () => {
      // Whatever was open ends with its next question, a second later at most.
      await new Promise((resolve) => setTimeout(resolve, 1_500));

      await expectToFollow(1);
    });
    await follow(2);
  });

  it('brings live versions back when their executor is lost (133)', async () => {
    const state = (await sendJson('GET', `${there.url}/api/runtime`)).body;
    await until(async () => (await pinnedThere()).join() === '2', PATIENCE_MS);

    process.kill(state.executors[0].pid, 'SIGKILL');

    await until(async () => (await pinnedThere()).length === 0, PATIENCE_MS);
    await until(async () => (await pinnedThere()).join() === '2', PATIENCE_MS);
  });

  it('leaves out of memory what an operator took out', async () => {
    expect((await predictThere()).status).toBe(200);
    await until(async () => {
      await sendJson('POST', `${there.url}/api/models/digits/versions/2/unload`);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      // The load after the loss above ends with a run of its own, which may be still to come.
      return (await pinnedThere()).length === 0;
    }, PATIENCE_MS);
    await new Promise((resolve) => setTimeout(resolve, 1_500));

    expect(await pinnedThere()).toEqual([]);
  });
});
