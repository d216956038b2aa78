import { once } from 'node:events';

import { ObjectId } from 'mongodb';

import { type FreshDatabase, freshDatabase } from '../support/database';
import { isAlive, untilGone } from '../support/processes';
import { spawnService, type SpawnedService } from '../support/spawn-service';
import { countdown } from '../support/tiny-graphs';
import { sendJson, upload } from '../support/uploads';

/** How long a call takes that is under way when the signal comes: long enough to come in time. */
const CALL_MS = 5_000;
let database: FreshDatabase;
let service: SpawnedService;
let turns: number;

beforeEach(async () => {
  database = freshDatabase();
  service = await spawnService({
    MONGODB_URI: database.uri,
    GRIDSTOW_DB: database.name,
    GRIDSTOW_RECORDING: 'queued',
    GRIDSTOW_EXECUTORS: '1',
  });
  const metadata = {
    signature: {
      inputs: [{ name: 'x', dtype: 'float32', shape: [1] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [1] }],
    },
  };
  const { status } = await upload(service.url, 'countdown', Object.fromEntries(countdown()), {
    metadata,
  });
  expect(status).toBe(201);
  const { body } = await predict(2_000);
  turns = Math.round((2_000 * CALL_MS) / body.timings.inferMs);
  while (await busyExecutor()) await pause();
});
afterEach(async () => {
  await service.kill('SIGKILL');
  await database.close();
});

const predict = async (count: number) =>
  await sendJson('POST', `${service.url}/api/models/countdown/predict`, { instances: [count] });
const runtime = async () => (await sendJson('GET', `${service.url}/api/runtime`)).body;
const busyExecutor = async (): Promise<{ pid: number } | undefined> =>
  (await runtime()).executors.find(({ busy }: { busy: boolean }) => busy);
const pause = async (): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, 10));
};

/** A long call under way, a second request behind it. */
async function busy(): Promise<{
  readonly underWay: ReturnType<typeof predict>;
  readonly waiting: ReturnType<typeof predict>;
  readonly pid: number;
}> {
  const underWay = predict(turns);
  let executor = await busyExecutor();
  for (; !executor; executor = await busyExecutor()) await pause();
  const waiting = predict(1);
  while ((await runtime()).waiting === 0) await pause();
  return { underWay, waiting, pid: executor.pid };
}

describe('SIGTERM', () => {
  it('lets a prediction under way finish, answers 503 to the one behind it, writes the records, exits with 0 (134)', async () => {
    const { underWay, waiting, pid } = await busy();
    const exit = once(service.process, 'exit');

    service.process.kill('SIGTERM');

    const [finished, refused] = await Promise.all([underWay, waiting]);
    expect([finished.status, finished.body.predictions]).toEqual([200, [0]]);
    expect([refused.status, refused.body.code]).toEqual([503, 'executor_lost']);
    expect(refused.headers.get('Retry-After')).toBe('1');
    expect(await exit).toEqual([0, null]);
    await expect(fetch(`${service.url}/health/ready`)).rejects.toThrow();
    expect(isAlive(pid)).toBe(false);
    const record = await database.db.collection('predictions').findOne({
      _id: new ObjectId(finished.body.predictionId),
    });
    expect(record).toMatchObject({ status: 'ok', rows: 1 });
  });

  it('twice ends the process at once, and its executors with it (135)', async () => {
    const { underWay, waiting, pid } = await busy();
    const outcomes = Promise.allSettled([underWay, waiting]);
    const exit = once(service.process, 'exit');

    service.process.kill('SIGTERM');
    while (!service.output().includes('stopping')) await pause();
    service.process.kill('SIGTERM');

    expect(await exit).toEqual([130, null]);
    expect(await untilGone(pid, 10_000)).toBe(true);
    await outcomes;
  });
});
