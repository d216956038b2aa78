import { once } from 'node:events';

import { ObjectId } from 'mongodb';

import { type FreshDatabase, freshDatabase } from '../support/database';
import { isAlive, untilGone } from '../support/processes';
import { spawnService, type SpawnedService } from '../support/spawn-service';
import { countdown } from '../support/tiny-graphs';
import { sendJson, upload } from '../support/uploads';

let database: FreshDatabase;
let service: SpawnedService;
let turnMs: number;

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
  turnMs = body.timings.inferMs / 2_000;
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

interface Busy {
  readonly underWay: ReturnType<typeof predict>;
  readonly waiting: ReturnType<typeof predict>;
  readonly pid: number;
}

/**
 * A call of about so long under way, a second request behind it. Machines that also do other work
 * are not equally fast all the time: a call that was over before anybody saw it is made anew.
 */
async function busy(callMs: number): Promise<Busy> {
  for (let turns = Math.round(callMs / turnMs); ; turns = Math.round(turns * 1.5)) {
    let isOver = false;
    const underWay = predict(turns);
    void underWay.then(() => (isOver = true)).catch(() => undefined);
    const isRunning = (): boolean => !isOver;
    while (isRunning()) {
      const executor = await busyExecutor();
      if (!executor) {
        await pause();
        continue;
      }
      const waiting = predict(1);
      while (isRunning()) {
        if ((await runtime()).waiting > 0) return { underWay, waiting, pid: executor.pid };
        await pause();
      }
      await waiting;
    }
  }
}

describe('SIGTERM', () => {
  it('lets a prediction under way finish, answers 503 to the one behind it, writes the records, exits with 0 (134)', async () => {
    // A stop waits for seven seconds at most.
    const { underWay, waiting, pid } = await busy(2_000);
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
    const { underWay, waiting, pid } = await busy(20_000);
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
