import { type CommandStartedEvent, type Document, MongoClient } from 'mongodb';

import { Schema } from '../../src/mongo/schema';
import { type PredictionRecord } from '../../src/predictions/prediction.doc';
import {
  COUNTED_BY,
  type PredictionFilter,
  PredictionsRepository,
} from '../../src/predictions/predictions.repository';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { publishStored } from '../support/published-version';
import { aRecord, aVector } from '../support/prediction-records';
import { greaterThanHalf } from '../support/tiny-graphs';
import { sendJson } from '../support/uploads';

const MODEL = 'pets';
const HOUR_MS = 3_600_000;
const noon = Date.UTC(2026, 5, 1, 12);

let service: BootedService;
let api: string;
let predictions: PredictionsRepository;

beforeAll(async () => {
  service = await bootService();
  api = `${service.url}/api`;
  predictions = service.service.app.get(PredictionsRepository);
  await publishStored(service.db, MODEL, greaterThanHalf(), {
    signature: {
      inputs: [{ name: 'x', dtype: 'float32', shape: [-1, 2] }],
      outputs: [{ name: 'x', dtype: 'float32', shape: [-1, 2] }],
    },
    labels: ['cat', 'dog'],
  });
  // Version 1 is right three times of four, in two hours; version 2 was asked for numbers.
  for (const [hour, scores, truth] of [
    [0, [0.75, 0.25], 'cat'],
    [0, [0.25, 0.75], 'dog'],
    [1, [0.5, 0.25], 'dog'],
    [1, [0.75, 0.25], 'cat'],
  ] as const) {
    const label = scores[0] >= scores[1] ? 'cat' : 'dog';
    const id = await insert(hour, { outputs: aVector(...scores), top: [[{ label, score: 1 }]] });
    await say(id, { label: truth });
  }
  await insert(0, { callerId: 'nobody said anything' });
  await say(await insert(2, { version: 2, outputs: aVector(1, 2) }), { values: [2, 4] });
  await say(await insert(2, { status: 'failed' }), { label: 'cat' });
  await say(await insert(0, { model: 'other' }), { label: 'cat' });
});

afterAll(async () => {
  await service.close();
});

async function insert(hour: number, overrides: Partial<PredictionRecord>): Promise<string> {
  const time = new Date(noon + hour * HOUR_MS);
  // The time of an id is what hours are counted by.
  const id = Math.floor(+time / 1000).toString(16) + predictions.newId().slice(8);
  await predictions.insert(aRecord(id, { model: MODEL, createdAt: time, ...overrides }));
  return id;
}

const say = async (id: string, truth: object): Promise<void> => {
  await sendJson('PUT', `${api}/predictions/${id}/feedback`, truth);
};
const quality = async (query = '') =>
  await sendJson('GET', `${api}/models/${MODEL}/quality?${query}`);

describe('GET /api/models/{model}/quality', () => {
  it('holds versions against what turned out to be true', async () => {
    const { status, body } = await quality();

    expect(status).toBe(200);
    expect(body).toMatchObject({ model: MODEL, bucket: 'all', examined: 6, isTruncated: false });
    expect(body.groups).toEqual([
      {
        version: 1,
        predictions: 4,
        mismatched: 0,
        classification: {
          rows: 4,
          accuracy: 0.75,
          logLoss: expect.closeTo(-(Math.log(0.75) * 3 + Math.log(0.25)) / 4, 6),
          classes: [
            { label: 'cat', support: 2, predicted: 3, precision: 2 / 3, recall: 1 },
            { label: 'dog', support: 2, predicted: 1, precision: 1, recall: 0.5 },
          ],
          confusion: [
            { truth: 'cat', predicted: 'cat', rows: 2 },
            { truth: 'dog', predicted: 'cat', rows: 1 },
            { truth: 'dog', predicted: 'dog', rows: 1 },
          ],
        },
        regression: [],
      },
      {
        version: 2,
        predictions: 1,
        mismatched: 0,
        classification: null,
        regression: [{ output: 'x', values: 2, meanAbsoluteError: 1.5, meanSquaredError: 2.5 }],
      },
    ]);
  });

  it('follows a version over time', async () => {
    const { body } = await quality('version=1&bucket=hour');

    expect(
      body.groups.map(({ since, classification }: any) => [since, classification.accuracy]),
    ).toEqual([
      ['2026-06-01T12:00:00.000Z', 1],
      ['2026-06-01T13:00:00.000Z', 0.5],
    ]);
    expect(
      (await quality('since=2026-06-01T13:00:00Z&until=2026-06-01T14:00:00Z')).body,
    ).toMatchObject({
      examined: 2,
      groups: [{ version: 1, predictions: 2 }],
    });
  });

  it('refuses what it does not know', async () => {
    expect((await quality('bucket=week')).status).toBe(400);
    expect((await sendJson('GET', `${api}/models/nobody/quality`)).status).toBe(404);
  });
});

describe('GET /api/predictions/counts', () => {
  const counts = async (query: string) =>
    (await sendJson('GET', `${api}/predictions/counts?model=${MODEL}&${query}`)).body.items;

  it('counts by version, label, hour and status', async () => {
    expect(await counts('by=version')).toEqual([
      { value: 1, count: 6 },
      { value: 2, count: 1 },
    ]);
    expect(await counts('by=label')).toEqual([
      { value: 'cat', count: 3 },
      { value: 'dog', count: 1 },
    ]);
    expect(await counts('by=hour')).toEqual([
      { value: '2026-06-01T12:00:00.000Z', count: 3 },
      { value: '2026-06-01T13:00:00.000Z', count: 2 },
      { value: '2026-06-01T14:00:00.000Z', count: 2 },
    ]);
    expect(await counts('by=status')).toEqual([
      { value: 'failed', count: 1 },
      { value: 'ok', count: 6 },
    ]);
    expect(await counts('by=version&label=dog')).toEqual([{ value: 1, count: 1 }]);
    expect(await counts('by=version&status=failed&alias=live')).toEqual([{ value: 1, count: 1 }]);
  });

  it('asks for a model', async () => {
    expect((await sendJson('GET', `${api}/predictions/counts`)).status).toBe(400);
  });
});

describe('no query over records reads a whole collection', () => {
  const since = new Date(noon);
  const filters: PredictionFilter[] = [
    { model: MODEL },
    { model: MODEL, version: 1 },
    { model: MODEL, alias: 'live' },
    { model: MODEL, status: 'failed' },
    { model: MODEL, status: 'ok' },
    { model: MODEL, callerId: 'c' },
    { model: MODEL, label: 'cat' },
    { model: MODEL, since, until: new Date() },
    { model: MODEL, version: 1, alias: 'live', status: 'ok', callerId: 'c', label: 'cat', since },
  ];
  const anyModel: PredictionFilter[] = [
    {},
    { status: 'failed' },
    { callerId: 'c' },
    { label: 'cat' },
    { since },
  ];
  type Read = (repository: PredictionsRepository, filter: PredictionFilter) => Promise<unknown>;
  const all = async (stream: AsyncIterable<unknown>): Promise<void> => {
    const items: unknown[] = [];
    for await (const item of stream) items.push(item);
  };
  const reads: [string, Read, PredictionFilter[]][] = [
    ['list', (from, filter) => from.list(filter, { limit: 5 }), [...filters, ...anyModel]],
    [
      'export',
      (from, filter) => all(from.stream(filter, undefined, true)),
      [...filters, ...anyModel],
    ],
    ['quality', (from, filter) => all(from.judged(filter, 100)), filters],
    ...COUNTED_BY.map((by): [string, Read, PredictionFilter[]] => [
      `counts by ${by}`,
      (from, filter) => from.countBy(by, filter),
      filters,
    ]),
  ];
  const cases = reads.flatMap(([what, read, by]) =>
    by.map((filter): [string, PredictionFilter, Read] => [what, filter, read]),
  );

  it.each(cases)('%s %j', async (_what, filter, read) => {
    const commands: Document[] = [];
    const client = new MongoClient(testMongoUri(), { monitorCommands: true });
    client.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
      if (commandName === 'find' || commandName === 'aggregate') commands.push(command);
    });
    await read(new PredictionsRepository(client.db(service.db.databaseName), new Schema()), filter);
    await client.close();
    const ofTheSession = ['$db', 'lsid', '$clusterTime'];
    const command = Object.fromEntries(
      Object.entries(commands[0]!).filter(([key]) => !ofTheSession.includes(key)),
    );

    const plan = JSON.stringify(
      await service.db.command({ explain: command, verbosity: 'executionStats' }),
    );

    expect(plan).toContain('IXSCAN');
    expect(plan).not.toContain('COLLSCAN');
    expect(plan).not.toMatch(/"collectionScans":(?:\{"\$numberLong":")?[1-9]/);
  });
});
