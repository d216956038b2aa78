import { randomBytes } from 'node:crypto';

import { createClient } from '../../src/mongo/connect';
import { DurableRecorder } from '../../src/predictions/durable-recorder.service';
import { INLINE_BYTES } from '../../src/predictions/inputs.store';
import { type PredictionInput, type PredictionRecord } from '../../src/predictions/prediction.doc';
import { type PredictionAnswer } from '../../src/predictions/prediction.answer';
import { digestOf, tensorInput } from '../../src/predictions/prediction-input';
import { PredictionRecords } from '../../src/predictions/prediction-records.service';
import { PredictionsRepository } from '../../src/predictions/predictions.repository';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { serviceAppName, whileFailing } from '../support/fail-command';
import { aRecord } from '../support/prediction-records';
import { publishStored } from '../support/published-version';
import { greaterThanHalf } from '../support/tiny-graphs';
import { sendJson } from '../support/uploads';

const admin = createClient(testMongoUri(), { appName: 'arming' });
let service: BootedService;
let api: string;

beforeAll(async () => {
  service = await bootService();
  api = `${service.url}/api`;
  const x = [{ name: 'x', dtype: 'float32', shape: [-1, 3] }] as const;
  await publishStored(service.db, 'digits', greaterThanHalf(), {
    signature: { inputs: x, outputs: x },
  });
});

afterAll(async () => {
  await service.close();
  await admin.close();
});

function anInput(bytes = 64): PredictionInput {
  const data = randomBytes(bytes);
  return tensorInput({ x: { dtype: 'float32', shape: [1, bytes / 4], data } });
}

async function record(
  input: PredictionInput,
  overrides: Partial<PredictionRecord> = {},
): Promise<string> {
  const id = service.service.app.get(PredictionsRepository).newId();
  await service.service.app.get(DurableRecorder).record(aRecord(id, { input, ...overrides }));
  return id;
}

const show = async (id: string) => (await sendJson('GET', `${api}/predictions/${id}`)).body;
const count = async (collection: string): Promise<number> =>
  await service.db.collection(collection).countDocuments();

it('erases an input for all its predictions, keeps the records, and says so for good', async () => {
  const input = anInput();
  const ids = [await record(input), await record(input)];

  const erased = await sendJson('DELETE', `${api}/predictions/${ids[0]!}/input?reason=asked%20to`);

  expect(erased.status).toBe(200);
  const said = { reason: 'asked to' };
  expect(erased.body).toMatchObject({ digest: input.digest, predictions: 2, ...said });
  for (const id of ids) {
    const bytes = await sendJson('GET', `${api}/predictions/${id}/input`);
    expect([bytes.status, bytes.body.code]).toEqual([404, 'input_erased']);
    const again = await fetch(`${api}/predictions/${id}/input`, {
      headers: { 'If-None-Match': `"${input.digest}"` },
    });
    expect(again.status).toBe(404);
    const shown = await show(id);
    expect(shown.input.tensors.x).not.toHaveProperty('values');
    expect(shown.input.erased).toEqual({ at: erased.body.at, ...said });
  }
  const entry = await service.db.collection('audit').findOne({ digest: input.digest });
  expect(entry).toMatchObject({
    action: 'input_erased',
    predictionId: ids[0],
    reason: 'asked to',
    doneAt: expect.any(Date),
  });
  expect(entry?._id.toHexString()).toBe(erased.body.auditId);
  expect(await show(ids[1]!)).toMatchObject({ input: { digest: input.digest }, status: 'ok' });
});

it('says so in lists and exports, too', async () => {
  const model = 'listed';
  const input = anInput();
  const ids = [
    await record(input, { model, protocol: 'image' }),
    await record(anInput(), { model, protocol: 'image' }),
  ];
  const { body } = await sendJson('DELETE', `${api}/predictions/${ids[0]!}/input?reason=asked`);
  const erased = { at: body.at, reason: 'asked' };

  const { items } = (await sendJson('GET', `${api}/predictions?model=${model}`)).body;

  expect(items.map(({ predictionId }: PredictionAnswer) => predictionId)).toEqual(ids.toReversed());
  expect(items[0].input).not.toHaveProperty('erased');
  expect(items[1].input).toMatchObject({ digest: input.digest, erased });
  const images = await service.service.app
    .get(PredictionRecords)
    .listImages({ model }, { limit: 5 });
  expect(images.map((image) => image.input.erased)).toEqual([undefined, erased]);
  for (const query of ['', '&inputs=true']) {
    const lines = await fetch(`${api}/predictions/export?model=${model}${query}`);
    const [first, second] = (await lines.text())
      .split('\n')
      .map((line) => JSON.parse(line || 'null'));
    expect([first.input.erased, second.input.erased]).toEqual([erased, undefined]);
  }
});

it('erases a large input with its file and chunks, by its digest', async () => {
  const input = anInput(2 * INLINE_BYTES);
  await record(input);
  expect(await count('inputs.chunks')).toBeGreaterThan(0);

  expect((await sendJson('DELETE', `${api}/inputs/${input.digest}`)).status).toBe(200);

  expect(await count('inputs.files')).toBe(0);
  expect(await count('inputs.chunks')).toBe(0);
});

it.each([64, 2 * INLINE_BYTES])(
  'stores the same input of %d bytes again when it is sent again',
  async (bytes) => {
    const input = anInput(bytes);
    const first = await record(input);
    await sendJson('DELETE', `${api}/inputs/${input.digest}`);

    const again = await record(input);

    for (const id of [first, again]) {
      const shown = await show(id);
      expect(shown.input).not.toHaveProperty('erased');
      expect(shown.input.tensors.x.values).toHaveLength(bytes / 4);
    }
  },
);

it('erases nothing without an entry in the audit', async () => {
  const input = anInput();
  const id = await record(input);
  const failure = { failCommands: ['insert'], namespace: `${service.db.databaseName}.audit` };

  const answer = await whileFailing(
    admin,
    serviceAppName(service.db.databaseName),
    { ...failure, errorCode: 50 },
    async () => await sendJson('DELETE', `${api}/inputs/${input.digest}`),
  );

  expect(answer.status).toBe(503);
  expect((await show(id)).input.tensors.x.values).toHaveLength(16);
});

it('keeps counts, proofs, exports and replays going over erased inputs', async () => {
  const input = anInput(12);
  const id = await record(input, { callerId: 'to be erased' });
  const kept = await record(anInput(12), { callerId: 'to be erased' });
  const ask = async (path: string) => (await sendJson('GET', `${api}/${path}`)).body;
  const counts = await ask('predictions/counts?model=digits');
  const proof = await ask(`predictions/${id}/proof`);
  expect(proof.inputErased).toBeNull();

  const { body: erased } = await sendJson('DELETE', `${api}/inputs/${input.digest}`);

  expect(await ask('predictions/counts?model=digits')).toEqual(counts);
  expect(await ask(`predictions/${id}/proof`)).toEqual({
    ...proof,
    inputErased: { at: erased.at },
  });
  const query = 'model=digits&callerId=to%20be%20erased';
  const exported = await fetch(`${api}/predictions/export?${query}&inputs=true`);
  const lines = (await exported.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ predictionId }) => predictionId)).toEqual([id, kept]);
  expect(lines[0].input).toMatchObject({
    contentFault: 'input_erased',
    erased: { at: erased.at },
  });
  expect(lines[1].input.content).toBeDefined();
  const started = await sendJson('POST', `${api}/models/digits/replay`, {
    from: { callerId: 'to be erased' },
    candidate: 1,
  });
  expect(started.status).toBe(202);
  let job: any;
  do job = await ask(`jobs/${started.body.jobId}`);
  while (!['done', 'failed'].includes(job.state));
  expect(job.report.skipped).toMatchObject({ count: 1, byCode: { input_erased: 1 } });
  expect(job.report.records).toBe(1);
});

it('shows an image prediction without the image that was erased', async () => {
  const content = randomBytes(32);
  const input = { digest: digestOf(content), kind: 'image', bytes: 32, content } as const;
  const id = await record({ ...input, contentType: 'image/png' }, { protocol: 'image' });
  await sendJson('DELETE', `${api}/predictions/${id}/input`);

  const { status, body } = await sendJson('GET', `${service.url}/prediction/${id}`);

  expect(status).toBe(200);
  expect(body).toMatchObject({ input_id: input.digest, input_image: null });
});

it('frees the bytes in the bucket when the process died before it came to that', async () => {
  const input = anInput(2 * INLINE_BYTES);
  await record(input);
  const failure = {
    failCommands: ['delete'],
    namespace: `${service.db.databaseName}.inputs.files`,
  };
  const answer = await whileFailing(
    admin,
    serviceAppName(service.db.databaseName),
    { ...failure, errorCode: 91 },
    async () => await sendJson('DELETE', `${api}/inputs/${input.digest}`),
  );
  const files = async () =>
    await service.db.collection('inputs.files').countDocuments({ filename: input.digest });
  expect(answer.status).toBe(503);
  expect(await files()).toBe(1);

  const again = await sendJson('DELETE', `${api}/inputs/${input.digest}`);

  expect(again.status).toBe(200);
  expect(await files()).toBe(0);
  const entries = await service.db.collection('audit').find({ digest: input.digest }).toArray();
  expect(entries).toEqual([expect.objectContaining({ doneAt: expect.any(Date) })]);
});

it('refuses what is no digest, and what is not there', async () => {
  expect((await sendJson('DELETE', `${api}/inputs/x`)).body.code).toBe('bad_digest');
  const unknown = `sha256:${'0'.repeat(64)}`;
  expect((await sendJson('DELETE', `${api}/inputs/${unknown}`)).body.code).toBe('input_missing');
  const nobody = '0'.repeat(24);
  expect((await sendJson('DELETE', `${api}/predictions/${nobody}/input`)).status).toBe(404);
});
