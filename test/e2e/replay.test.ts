import { readFileSync } from 'node:fs';

import { type FreshDatabase, freshDatabase } from '../support/database';
import { fixturePath } from '../support/fixtures';
import { type SpawnedService, spawnService } from '../support/spawn-service';
import { fixtureFiles, upload } from '../support/uploads';

const LABELS = Array.from({ length: 10 }, (_, digit) => String(digit));
const RECORDS = 120;

let database: FreshDatabase;
let service: SpawnedService;

beforeAll(async () => {
  database = freshDatabase();
  service = await start();
  for (const fixture of ['tfjs/digits-cnn-v1.k3h5.fixed', 'tfjs/digits-cnn-v2.k3h5.fixed']) {
    const { status } = await upload(service.url, 'digits', fixtureFiles(fixture), {
      metadata: { labels: LABELS },
    });
    expect(status).toBe(201);
  }
  await Promise.all(
    Array.from({ length: 4 }, async (_, lane) => {
      for (let row = lane; row < RECORDS; row += 4) await predict(row);
    }),
  );
});

afterAll(async () => {
  await service.kill('SIGTERM');
  await database.close();
});

async function start(): Promise<SpawnedService> {
  return await spawnService({ MONGODB_URI: database.uri, GRIDSTOW_DB: database.name });
}

const DIGITS = readFileSync(fixturePath('data/digits.csv'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(',').slice(0, 64).map(Number));

async function predict(row: number): Promise<void> {
  const pixels = DIGITS[row]!.map((value) => value / 16);
  const image = Array.from({ length: 8 }, (_, y) =>
    pixels.slice(y * 8, y * 8 + 8).map((value) => [value]),
  );
  const { status } = await call('POST', '/api/models/digits/predict', { instances: [image] });
  expect(status).toBe(200);
}

async function call(
  method: string,
  path: string,
  body?: object,
): Promise<{ readonly status: number; readonly body: any }> {
  const response = await fetch(`${service.url}${path}`, {
    method,
    ...(body
      ? { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
      : {}),
  });
  return { status: response.status, body: await response.json() };
}

async function replay(body: object): Promise<any> {
  const started = await call('POST', '/api/models/digits/replay', body);
  expect(started).toMatchObject({ status: 202, body: { kind: 'replay', state: 'waiting' } });
  return await ended(started.body.jobId as string);
}

async function ended(jobId: string): Promise<any> {
  for (;;) {
    const { status, body } = await call('GET', `/api/jobs/${jobId}`);
    expect(status).toBe(200);
    if (!['waiting', 'running'].includes(body.state as string)) return body;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('a replay', () => {
  it('computes what was recorded to the last bit with the version that answered (86)', async () => {
    const job = await replay({ candidate: 1, from: { version: 1 } });

    expect(job).toMatchObject({
      state: 'done',
      progress: { done: RECORDS, total: RECORDS },
      failure: null,
      report: {
        records: RECORDS,
        rows: RECORDS,
        skipped: { count: 0 },
        own: { bitwise: RECORDS, withinTolerance: 0, differing: 0, incomparable: 0 },
        agreement: { bitwise: RECORDS },
        differences: { max: 0, mean: 0 },
        labels: { compared: RECORDS, changed: 0, changedShare: 0 },
      },
    });
  });

  it('shows where another version answers otherwise, and records no predictions of its own', async () => {
    const job = await replay({ candidate: 2 });

    const { report } = job;
    expect(report).toMatchObject({ records: RECORDS, own: { bitwise: RECORDS } });
    expect(report.agreement.differing).toBe(RECORDS);
    expect(report.differences.max).toBeGreaterThan(0.01);
    expect(report.labels.compared).toBe(RECORDS);
    expect(report.labels.changedShare).toBe(report.labels.changed / RECORDS);
    for (const { predictionId, from, to } of report.labels.examples) {
      const { body } = await call('GET', `/api/predictions/${predictionId}`);
      expect(body.top[0][0].label).toBe(from.label);
      expect(to.label).not.toBe(from.label);
    }
    expect(await database.db.collection('predictions').countDocuments()).toBe(RECORDS);
  });

  it('takes at most as many of the newest records as it is told, and those that match', async () => {
    expect((await replay({ candidate: 2, limit: 5 })).report.records).toBe(5);
    expect((await replay({ candidate: 2, from: { version: 2 } })).report.records).toBe(0);
    const sevens = await replay({ candidate: 1, from: { label: '7', alias: 'live' } });
    expect(sevens.report.records).toBeGreaterThan(0);
    expect(sevens.report.records).toBeLessThan(RECORDS);
  });

  it.each([
    ['an unknown version', { candidate: 9 }, 404],
    ['no version', {}, 422],
    ['an unknown filter', { candidate: 1, from: { labels: 'x' } }, 422],
    ['a time that is none', { candidate: 1, from: { since: 'yesterday' } }, 422],
    [
      'times in the wrong order',
      { candidate: 1, from: { since: '2026-01-02', until: '2026-01-01' } },
      422,
    ],
    ['too many records', { candidate: 1, limit: 1e9 }, 422],
  ])('is refused for %s', async (_what, body, status) => {
    expect((await call('POST', '/api/models/digits/replay', body)).status).toBe(status);
  });

  it('says which records it could not compare, and why', async () => {
    const { _id, input } = (await database.db.collection('predictions').findOne())!;
    const kept = await database.db.collection('inputs').findOne({ _id: input.digest });
    await database.db.collection('inputs').deleteOne({ _id: input.digest });
    try {
      const { report } = await replay({ candidate: 1 });

      const { records, skipped } = report;
      expect(records + skipped.count).toBe(RECORDS);
      expect(skipped.byCode).toEqual({ input_missing: skipped.count });
      expect(skipped.examples.map(({ predictionId }: any) => predictionId)).toContain(
        _id.toHexString(),
      );
    } finally {
      await database.db.collection('inputs').insertOne(kept!);
    }
  });

  it('can be cancelled, once', async () => {
    const { body } = await call('POST', '/api/models/digits/replay', { candidate: 2 });
    const cancelled = await call('POST', `/api/jobs/${body.jobId}/cancel`);

    expect(cancelled).toMatchObject({ status: 200, body: { state: 'cancelled', report: null } });
    expect(await call('POST', `/api/jobs/${body.jobId}/cancel`)).toMatchObject({
      status: 409,
      body: { code: 'job_ended' },
    });
  });

  it('is listed, newest first, and found by its id only', async () => {
    const { body } = await call('GET', '/api/jobs?model=digits&limit=2');

    expect(body.items).toHaveLength(2);
    expect(body.items[0].createdAt >= body.items[1].createdAt).toBe(true);
    const next = await call('GET', `/api/jobs?model=digits&limit=2&cursor=${body.next}`);
    expect(next.body.items[0].jobId < body.items[1].jobId).toBe(true);
    expect((await call('GET', `/api/jobs/${'0'.repeat(24)}`)).status).toBe(404);
    expect((await call('GET', '/api/jobs/nothing')).status).toBe(400);
  });

  it('goes on where it was after kill -9, and counts every record once', async () => {
    const { body } = await call('POST', '/api/models/digits/replay', { candidate: 2 });
    for (;;) {
      const { body: job } = await call('GET', `/api/jobs/${body.jobId}`);
      if (job.progress.done > 0) break;
    }
    await service.kill('SIGKILL');
    const interrupted = (await database.db.collection('jobs').find().sort({ _id: -1 }).next())!;
    service = await start();

    expect(await ended(body.jobId as string)).toMatchObject({
      state: 'done',
      progress: { done: RECORDS },
      report: { records: RECORDS, own: { bitwise: RECORDS } },
    });
    // Otherwise the machine was so fast that nothing was interrupted and nothing shown.
    expect(interrupted['state']).toBe('running');
  });
});

describe('a promotion that requires a replay', () => {
  const promote = async (maxChangedLabels: number, version = 2): ReturnType<typeof call> =>
    await call('PUT', '/api/models/digits/aliases/canary', {
      version,
      require: { replay: { maxChangedLabels } },
    });

  it('moves the alias when the version does as well as is asked', async () => {
    expect(await promote(1)).toMatchObject({ status: 200, body: { version: 2 } });
  });

  it('makes the replay itself when there is none, and moves nothing when it falls short', async () => {
    const { status, body: other } = await upload(
      service.url,
      'digits',
      fixtureFiles('tfjs/digits-cnn-v1.graph'),
      { metadata: { labels: LABELS.toReversed() } },
    );
    expect(status).toBe(201);

    const refused = await promote(0.5, other.version as number);

    expect(refused).toMatchObject({
      status: 409,
      body: {
        code: 'requirement_not_met',
        details: { version: other.version, report: { labels: { changedShare: 1 } } },
      },
    });
    const { body } = await call('GET', '/api/models/digits/aliases/canary');
    expect(body.version).toBe(2);
  });

  it('judges by the truth that was given, and says when nobody has given any', async () => {
    const ask = async (minAccuracy: number): ReturnType<typeof call> =>
      await call('PUT', '/api/models/digits/aliases/canary', {
        version: 2,
        require: { replay: { minAccuracy } },
      });
    expect((await ask(0)).body.error).toContain('nobody has said yet what the truth was');

    const { body: listed } = await call('GET', '/api/predictions?model=digits&limit=1000');
    for (const { predictionId, top } of listed.items) {
      const label = top[0][0].label;
      await call('PUT', `/api/predictions/${predictionId}/feedback`, { label });
    }
    const { report } = await replay({ candidate: 2 });
    expect(report.truth).toMatchObject({
      rows: RECORDS,
      recordedAccuracy: 1,
      candidateAccuracy: 1 - report.labels.changedShare,
    });
    expect((await ask(report.truth.candidateAccuracy as number)).status).toBe(200);
    const above = await ask(Math.min(1, report.truth.candidateAccuracy + 0.001));
    expect(above.status).toBe(report.labels.changed > 0 ? 409 : 200);
  });

  it('is refused for conditions that nobody knows', async () => {
    const { status } = await call('PUT', '/api/models/digits/aliases/canary', {
      version: 2,
      require: { replay: { maxChangedLabel: 0.1 } },
    });
    expect(status).toBe(422);
  });
});
