import { request as httpRequest } from 'node:http';

import { type CommandStartedEvent, MongoClient } from 'mongodb';

import { Schema } from '../../src/mongo/schema';
import { DurableRecorder } from '../../src/predictions/durable-recorder.service';
import { type PredictionRecord } from '../../src/predictions/prediction.doc';
import { PredictionsRepository } from '../../src/predictions/predictions.repository';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { aRecord } from '../support/prediction-records';
import { sendJson } from '../support/uploads';

let service: BootedService;
let api: string;
let predictions: PredictionsRepository;

beforeAll(async () => {
  service = await bootService();
  api = `${service.url}/api/predictions`;
  predictions = service.service.app.get(PredictionsRepository);
});

afterAll(async () => {
  await service.close();
});

async function record(overrides: Partial<PredictionRecord> = {}): Promise<string> {
  const id = predictions.newId();
  await service.service.app.get(DurableRecorder).record(aRecord(id, overrides));
  return id;
}

const give = async (path: string, body: unknown) => await sendJson('PUT', `${api}/${path}`, body);
const feedbackOf = async (id: string) => (await sendJson('GET', `${api}/${id}`)).body.feedback;
const giveAll = async (lines: readonly unknown[], type = 'application/x-ndjson') =>
  await sendJson(
    'POST',
    `${api}/feedback`,
    lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
    { 'Content-Type': type },
  );

describe('PUT /api/predictions/{id}/feedback', () => {
  it('joins the truth to its prediction; the last one counts, the others are its history', async () => {
    const id = await record();

    const first = await give(`${id}/feedback`, { label: '$7', source: 'clerk' });
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({ predictionId: id, isKnown: true, revision: 1, history: [] });
    await give(`${id}/feedback`, { label: '1' });
    await give(`${id}/feedback`, { values: [[1.5], [2]] });

    const feedback = await feedbackOf(id);
    expect(feedback).toMatchObject({ values: [1.5, 2], revision: 3 });
    expect(feedback).not.toHaveProperty('label');
    expect(feedback.history).toMatchObject([{ label: '1' }, { label: '$7', source: 'clerk' }]);
  });

  it('changes nothing when the same is said again', async () => {
    const id = await record();

    const first = await give(`${id}/feedback`, { label: ['1', '2'] });
    const again = await give(`${id}/feedback`, { label: ['1', '2'] });

    expect(again.body).toEqual(first.body);
  });

  it('keeps the truth of a prediction that is not known yet, and joins it later', async () => {
    const id = predictions.newId();

    const early = await give(`${id}/feedback`, { label: '3' });
    expect(early.body.isKnown).toBe(false);
    await service.service.app.get(DurableRecorder).record(aRecord(id));

    expect(await feedbackOf(id)).toMatchObject({ label: '3' });
  });

  it('keeps every one of many that come at the same time, in some order', async () => {
    const id = await record();

    await Promise.all(
      Array.from({ length: 20 }, async (_, n) => await give(`${id}/feedback`, { label: `${n}` })),
    );

    const { label, revision, history } = await feedbackOf(id);
    const said = [label, ...history.map((past: { label: string }) => past.label)];
    expect(revision).toBe(20);
    expect(new Set(said).size).toBe(20);
  });

  it.each([
    ['no truth', {}, 422],
    ['an operator', { $set: { label: 'x' } }, 422],
    ['two truths', { label: '1', values: 1 }, 422],
    ['no object', [], 422],
    ['broken JSON', '{', 400],
    ['a key that stands twice', '{"label":"1","label":"2"}', 400],
  ])('refuses %s (64, 73)', async (_what, body, status) => {
    expect((await give(`${predictions.newId()}/feedback`, body)).status).toBe(status);
  });

  it('refuses what is no id', async () => {
    expect((await give('nine/feedback', { label: '1' })).body.code).toBe('bad_prediction_id');
  });
});

describe('PUT /api/predictions/feedback', () => {
  it('is about all predictions of a model under the id of a caller, before and after', async () => {
    const before = await record({ callerId: 'order-1' });
    const other = await record({ callerId: 'order-1', model: 'another' });

    const given = await give('feedback?model=digits&callerId=order-1', { label: '5' });
    const after = await record({ callerId: 'order-1' });

    expect(given.body).toMatchObject({ model: 'digits', callerId: 'order-1', isKnown: true });
    expect(await feedbackOf(before)).toMatchObject({ label: '5' });
    expect(await feedbackOf(after)).toMatchObject({ label: '5' });
    expect(await feedbackOf(other)).toBeUndefined();
  });

  it('gives way to what is said later by the id of the prediction, and the other way round', async () => {
    const id = await record({ callerId: 'order-2' });
    await give('feedback?model=digits&callerId=order-2', { label: 'caller' });
    await give(`${id}/feedback`, { label: 'own' });
    expect(await feedbackOf(id)).toMatchObject({ label: 'own' });

    await give('feedback?model=digits&callerId=order-2', { label: 'caller again' });

    expect(await feedbackOf(id)).toMatchObject({ label: 'caller again' });
  });

  it('asks for the model as well', async () => {
    expect((await give('feedback?callerId=order-1', { label: '5' })).body.code).toBe(
      'bad_caller_id',
    );
  });
});

describe('POST /api/predictions/feedback', () => {
  it('takes good lines and says what is wrong with the others', async () => {
    const ids = [await record(), await record({ callerId: 'bulk' })];

    const { status, body } = await giveAll([
      { predictionId: ids[0], label: 'early' },
      '{"predictionId":',
      { predictionId: ids[0], label: 'late' },
      '',
      { model: 'digits', callerId: 'bulk', values: 4 },
      { predictionId: 'x', label: 4 },
    ]);

    expect(status).toBe(200);
    expect(body).toMatchObject({ accepted: 3, refused: 2 });
    expect(body.faults.map(({ path }: { path: string }) => path)).toEqual([
      'line 2',
      'line 6: predictionId',
      'line 6: label',
    ]);
    expect(await feedbackOf(ids[0]!)).toMatchObject({ label: 'late', revision: 2 });
    expect(await feedbackOf(ids[1]!)).toMatchObject({ values: [4] });
  });

  it('takes thousands, and all of them again without a change', async () => {
    const lines = Array.from({ length: 3000 }, (_, n) => ({
      model: 'digits',
      callerId: `many-${n}`,
      label: `${n}`,
    }));

    expect((await giveAll(lines)).body).toEqual({ accepted: 3000, refused: 0, faults: [] });
    expect((await giveAll(lines)).body.accepted).toBe(3000);

    const feedback = service.db.collection('feedback');
    expect(await feedback.countDocuments({ callerId: /^many-/, revision: 1 })).toBe(3000);
  });

  it('refuses a body without a usable line, of another kind, or with a line without end', async () => {
    expect((await giveAll([])).status).toBe(422);
    expect((await giveAll(['nothing'])).body).toMatchObject({ details: { refused: 1 } });
    expect((await giveAll([{}], 'application/json')).status).toBe(415);
    expect((await giveAll(['x'.repeat(600_000)])).status).toBe(413);
  });

  it('keeps what came before a body broke off', async () => {
    const id = await record();
    const line = JSON.stringify({ predictionId: id, label: 'sent' });
    const sending = httpRequest(`${api}/feedback`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-ndjson' },
    });
    sending.on('error', () => undefined);
    sending.write(`${line}\n`.repeat(500));
    while ((await feedbackOf(id)) === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    sending.destroy();

    expect(await feedbackOf(id)).toMatchObject({ label: 'sent', revision: 1 });
  });
});

it('joins record, input and feedback in one round trip, from indexes', async () => {
  const id = await record({ callerId: 'joined' });
  await give(`${id}/feedback`, { label: '1' });
  const commands: CommandStartedEvent[] = [];
  const client = new MongoClient(testMongoUri(), { monitorCommands: true });
  client.on('commandStarted', (event) => commands.push(event));
  const db = client.db(service.db.databaseName);

  const found = await new PredictionsRepository(db, new Schema()).findJoined(id);

  expect(found).toMatchObject({ feedback: { current: { labels: ['1'] } } });
  expect(found?.input?.digest).toBe(found?.prediction.input.digest);
  const reads = commands.filter(({ commandName }) => commandName !== 'endSessions');
  expect(reads.map(({ commandName }) => commandName)).toEqual(['aggregate']);
  const { pipeline } = reads[0]!.command;
  const plan = await db.command({
    explain: { aggregate: 'predictions', pipeline, cursor: {} },
    verbosity: 'executionStats',
  });
  expect(JSON.stringify(plan)).not.toContain('COLLSCAN');
  expect(JSON.stringify(plan)).not.toMatch(/"collectionScans":[1-9]/);
  await client.close();
});
