import { createClient } from '../../src/mongo/connect';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { serviceAppName, whileFailing } from '../support/fail-command';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const FOLLOWS_WITHIN_MS = 2_000;
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
const isReady = async (): Promise<boolean> => (await fetch(`${there.url}/health/ready`)).ok;

describe('a second replica', () => {
  it('is ready with the live versions in memory, before anybody asked for them', async () => {
    await until(isReady, 20_000);

    expect(await pinnedThere()).toEqual([1]);
  });

  it('measures a live version again when its engine is another release', async () => {
    const measuredWith = async (version: number): Promise<string> => {
      const { body } = await sendJson('GET', `${there.url}/api/models/digits/versions/${version}`);
      return body.engines[there.service.engine.name].measuredWith;
    };
    const current = await measuredWith(2);

    expect(current).not.toBe('older');
    await until(async () => (await measuredWith(1)) === current, 20_000);
  });

  it('follows a move within two seconds, loads its version by itself, and fails no request', async () => {
    expect((await predictThere()).body.version).toBe(1);
    const statuses = new Set<number>();

    await promote(2);
    await until(async () => {
      const { status, body } = await predictThere();
      statuses.add(status);
      return body.version === 2;
    }, FOLLOWS_WITHIN_MS);

    expect([...statuses]).toEqual([200]);
    await until(async () => (await pinnedThere()).join() === '2', FOLLOWS_WITHIN_MS);
  });

  it('follows when moves cannot be watched', async () => {
    const noStreams = { failCommands: ['aggregate', 'getMore'], errorCode: 8000 };
    await whileFailing(admin, serviceAppName(here.db.databaseName), noStreams, async () => {
      // Whatever was open ends with its next question, a second later at most.
      await new Promise((resolve) => setTimeout(resolve, 1_500));

      await promote(1);

      await until(async () => (await predictThere()).body.version === 1, FOLLOWS_WITHIN_MS);
      await until(async () => (await pinnedThere()).join() === '1', FOLLOWS_WITHIN_MS);
    });
    await promote(2);
    await until(async () => (await predictThere()).body.version === 2, FOLLOWS_WITHIN_MS);
  });

  it('brings live versions back when their executor is lost (133)', async () => {
    const state = (await sendJson('GET', `${there.url}/api/runtime`)).body;
    await until(async () => (await pinnedThere()).join() === '2', FOLLOWS_WITHIN_MS);

    process.kill(state.executors[0].pid, 'SIGKILL');

    await until(async () => (await pinnedThere()).length === 0, 5_000);
    await until(async () => (await pinnedThere()).join() === '2', 10_000);
  });

  it('leaves out of memory what an operator took out', async () => {
    expect((await predictThere()).status).toBe(200);
    // The load after the loss above ends with a run of its own.
    await new Promise((resolve) => setTimeout(resolve, 500));
    await sendJson('POST', `${there.url}/api/models/digits/versions/2/unload`);
    await new Promise((resolve) => setTimeout(resolve, 1_500));

    expect(await pinnedThere()).toEqual([]);
  });
});
