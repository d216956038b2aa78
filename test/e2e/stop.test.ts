import { once } from 'node:events';

import { type FreshDatabase, freshDatabase } from '../support/database';
import { isAlive, untilGone } from '../support/processes';
import { spawnService, type SpawnedService } from '../support/spawn-service';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const ROWS = 10;
let database: FreshDatabase;
let service: SpawnedService;

beforeEach(async () => {
  database = freshDatabase();
  service = await spawnService({
    MONGODB_URI: database.uri,
    GRIDSTOW_DB: database.name,
    GRIDSTOW_RECORDING: 'queued',
  });
  const { status } = await upload(service.url, 'images', fixtureFiles('nsfw-mobilenet-v2'));
  expect(status).toBe(201);
  // The run that warms a new live version is over, so that what is busy later is the test's own.
  expect((await predict(1)).status).toBe(200);
  while ((await runtime()).executors[0].busy) await new Promise(setImmediate);
});
afterEach(async () => {
  await service.kill('SIGKILL');
  await database.close();
});

const image = Array.from({ length: 224 }, () => new Array(224).fill([0, 0, 0]));
const predict = async (rows: number) =>
  await sendJson('POST', `${service.url}/api/models/images/predict`, {
    instances: new Array(rows).fill(image),
  });
const runtime = async () => (await sendJson('GET', `${service.url}/api/runtime`)).body;

/** A long call under way, a second request behind it. */
async function busy(): Promise<{
  readonly underWay: ReturnType<typeof predict>;
  readonly waiting: ReturnType<typeof predict>;
}> {
  const underWay = predict(ROWS);
  while (!(await runtime()).executors[0].busy) await new Promise(setImmediate);
  const waiting = predict(1);
  while ((await runtime()).waiting === 0) await new Promise(setImmediate);
  return { underWay, waiting };
}

describe('SIGTERM', () => {
  it('lets a prediction under way finish, answers 503 to the one behind it, writes the records, exits with 0 (134)', async () => {
    const [{ pid }] = (await runtime()).executors;
    const { underWay, waiting } = await busy();
    const exit = once(service.process, 'exit');

    service.process.kill('SIGTERM');

    const [finished, refused] = await Promise.all([underWay, waiting]);
    expect([finished.status, finished.body.rows]).toEqual([200, ROWS]);
    expect([refused.status, refused.body.code]).toEqual([503, 'executor_lost']);
    expect(refused.headers.get('Retry-After')).toBe('1');
    expect(await exit).toEqual([0, null]);
    await expect(fetch(`${service.url}/health/ready`)).rejects.toThrow();
    expect(isAlive(pid)).toBe(false);
    const record = await database.db.collection('predictions').findOne({ rows: ROWS });
    expect(String(record?._id)).toBe(finished.body.predictionId);
  });

  it('twice ends the process at once, and its executors with it (135)', async () => {
    const [{ pid }] = (await runtime()).executors;
    const { underWay, waiting } = await busy();
    const outcomes = Promise.allSettled([underWay, waiting]);
    const exit = once(service.process, 'exit');

    service.process.kill('SIGTERM');
    while (!service.output().includes('stopping')) await new Promise(setImmediate);
    service.process.kill('SIGTERM');

    expect(await exit).toEqual([130, null]);
    expect(await untilGone(pid, 10_000)).toBe(true);
    await outcomes;
  });
});
