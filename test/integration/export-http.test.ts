import { once } from 'node:events';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { gunzipSync } from 'node:zlib';

import { parquetReadObjects } from 'hyparquet';
import { Binary } from 'mongodb';

import { DurableRecorder } from '../../src/predictions/durable-recorder.service';
import { InputsStore } from '../../src/predictions/inputs.store';
import { type PredictionAnswer } from '../../src/predictions/prediction.answer';
import { type PredictionInput, type PredictionRecord } from '../../src/predictions/prediction.doc';
import { PredictionsRepository } from '../../src/predictions/predictions.repository';
import { digestOf, tensorInput } from '../../src/predictions/prediction-input';
import { createClient } from '../../src/mongo/connect';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { serviceAppName, whileFailing } from '../support/fail-command';
import { aRecord, aVector, inputId } from '../support/prediction-records';
import { sendJson } from '../support/uploads';

const admin = createClient(testMongoUri(), { appName: 'arming' });
let service: BootedService;
let api: string;
let predictions: PredictionsRepository;
const ids: string[] = [];

beforeAll(async () => {
  service = await bootService();
  api = `${service.url}/api/predictions`;
  predictions = service.service.app.get(PredictionsRepository);
  ids.push(
    await record({
      model: 'out',
      callerId: 'a,"b"\r\nc',
      tags: { k: 'v' },
      input: tensorInput(aVector(-0, 1.5)),
      outputs: aVector(0.1, -0, NaN, Infinity),
      top: [[{ label: 'one', score: 0.75 }]],
    }),
    await record({
      model: 'out',
      version: 2,
      status: 'failed',
      error: { code: 'x', message: 'y' },
    }),
    await record({ model: 'out', input: image(Buffer.from('not really a picture')) }),
  );
  await sendJson('PUT', `${api}/${ids[0]!}/feedback`, { label: 'two', source: 's' });
});

afterAll(async () => {
  await service.close();
  await admin.close();
});

async function record(overrides: Partial<PredictionRecord>): Promise<string> {
  const { outputs, ...others } = aRecord(predictions.newId(), overrides);
  const isFailed = others.status === 'failed';
  await service.service.app
    .get(DurableRecorder)
    .record({ ...others, ...(outputs && !isFailed ? { outputs } : {}) });
  return others.id;
}

function image(content: Buffer): PredictionRecord['input'] {
  const [digest, bytes] = [digestOf(content), content.length];
  return { digest, bytes, kind: 'image', contentType: 'image/png', filename: 'a.png', content };
}

const fetchExport = async (query: string, headers = {}): Promise<Response> =>
  await fetch(`${api}/export?model=out&${query}`, { headers });
const linesOf = async (query: string): Promise<any[]> =>
  (await (await fetchExport(query)).text())
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const idsOf = (lines: readonly PredictionAnswer[]): string[] =>
  lines.map(({ predictionId }) => predictionId);

describe('GET /api/predictions/export', () => {
  it('gives records with outputs and feedback, oldest first, behind any id', async () => {
    const lines = await linesOf('format=ndjson');

    expect(idsOf(lines)).toEqual(ids);
    const shown = (await sendJson('GET', `${api}/${ids[0]!}`)).body;
    delete shown.input.tensors.x.values;
    expect(lines[0]).toEqual(shown);
    expect(lines[0].feedback).toMatchObject({ label: 'two', source: 's' });
    expect(idsOf(await linesOf(`after=${ids[0]!}`))).toEqual(ids.slice(1));
    expect(await linesOf(`after=${ids[2]!}`)).toEqual([]);
    expect(idsOf(await linesOf('version=2'))).toEqual([ids[1]]);
    expect(idsOf(await linesOf('status=failed'))).toEqual([ids[1]]);
    expect(idsOf(await linesOf('label=one'))).toEqual([ids[0]]);
  });

  it('gives a table that quotes what needs quotes', async () => {
    const response = await fetchExport('format=csv');

    expect(response.headers.get('Content-Type')).toBe('text/csv; charset=utf-8');
    const text = await response.text();
    const [head, ...rows] = text.split('\r\n');
    expect(head).toMatch(/^predictionId,createdAt,model,version,/);
    expect(text).toContain(',"a,""b""\r\nc",');
    expect(rows[0]).toContain(ids[0]);
    expect(text).toMatch(/,one,0\.75,/);
    expect(text).toMatch(/,two,,s,\d{4}-/);
  });

  it('gives a Parquet file that a reader of others opens', async () => {
    const file = await (await fetchExport('format=parquet')).arrayBuffer();

    const rows = await parquetReadObjects({ file });
    expect(rows.map((row) => row['predictionId'])).toEqual(ids);
    expect(rows[0]).toMatchObject({
      model: 'out',
      version: 1,
      callerId: 'a,"b"\r\nc',
      label: 'one',
      score: 0.75,
      trueLabel: 'two',
      feedbackSource: 's',
    });
    expect(rows[0]!['createdAt']).toBeInstanceOf(Date);
    expect(rows[1]).toMatchObject({ version: 2, status: 'failed', errorCode: 'x', outputs: null });
    expect(JSON.parse(String(rows[0]!['outputs'])).x.values[2]).toBe('NaN');
  });

  it('gives an empty file of each format when nothing matches', async () => {
    for (const format of ['ndjson', 'csv', 'parquet', 'sagemaker-capture', 'sagemaker-truth']) {
      const response = await fetch(`${api}/export?model=nobody&format=${format}`);
      expect(response.status).toBe(200);
      const file = await response.arrayBuffer();
      if (format === 'parquet') expect(await parquetReadObjects({ file })).toEqual([]);
    }
  });

  it('gives capture lines and truth lines of SageMaker', async () => {
    const [first, second, third] = await linesOf('format=sagemaker-capture');

    expect(first).toMatchObject({
      captureData: {
        endpointInput: { mode: 'INPUT', observedContentType: 'application/json', encoding: 'JSON' },
        endpointOutput: { mode: 'OUTPUT', encoding: 'JSON' },
      },
      eventMetadata: { eventId: ids[0], inferenceId: 'a,"b"\r\nc' },
      eventVersion: '0',
    });
    expect(JSON.parse(first.captureData.endpointInput.data)).toEqual({ x: [[0, 1.5]] });
    expect(second.captureData).not.toHaveProperty('endpointOutput');
    expect(third.captureData.endpointInput).toEqual({
      mode: 'INPUT',
      observedContentType: 'image/png',
      data: Buffer.from('not really a picture').toString('base64'),
      encoding: 'BASE64',
    });
    expect(await linesOf('format=sagemaker-truth')).toEqual([
      {
        groundTruthData: { data: 'two', encoding: 'CSV' },
        eventMetadata: { eventId: ids[0] },
        eventVersion: '0',
      },
    ]);
  });

  it('is compressed for those who accept it', async () => {
    const answer = (await new Promise<IncomingMessage>((resolve) =>
      httpGet(`${api}/export?model=out`, { headers: { 'Accept-Encoding': 'gzip' } }, resolve),
    )) satisfies IncomingMessage;
    const pieces: Buffer[] = [];
    answer.on('data', (piece: Buffer) => pieces.push(piece));
    await once(answer, 'end');

    expect(answer.headers['content-encoding']).toBe('gzip');
    const text = gunzipSync(Buffer.concat(pieces)).toString();
    expect(text.trim().split('\n')).toHaveLength(3);
  });

  it('goes on when its cursor is lost in the middle', async () => {
    for (let n = 0; n < 250; n++) await record({ model: 'long' });
    const failure = {
      failCommands: ['getMore'],
      namespace: `${service.db.databaseName}.predictions`,
    };

    const text = await whileFailing(
      admin,
      serviceAppName(service.db.databaseName),
      { ...failure, errorCode: 43 },
      async () => await (await fetch(`${api}/export?model=long`)).text(),
    );

    const found = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).predictionId);
    expect(found).toHaveLength(250);
    expect(new Set(found).size).toBe(250);
  });

  it('says so of an input that is damaged or gone, and goes on', async () => {
    const [first, second] = [tensorInput(aVector(4, 5, 6)), tensorInput(aVector(7, 8, 9))];
    const damaged = await record({ model: 'hurt', input: first });
    const gone = await record({ model: 'hurt', input: second });
    const inputs = service.db.collection('inputs');
    await inputs.updateOne({ _id: inputId(first.digest) }, { $set: { content: new Binary([1]) } });
    await inputs.deleteOne({ _id: inputId(second.digest) });

    const response = await fetch(`${api}/export?model=hurt&inputs=true`);

    const lines = (await response.text()).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { predictionId: damaged, input: { contentFault: 'input_corrupt' } },
      { predictionId: gone, input: { contentFault: 'input_missing' } },
    ]);
  });

  it.each([
    'format=xml',
    'after=7',
    'format=csv&inputs=true',
    'format=csv&values=base64',
    'version=1',
  ])('refuses %s', async (query) => {
    expect((await sendJson('GET', `${api}/export?${query}`)).status).toBe(400);
  });
});

describe('POST /api/predictions/import', () => {
  const send = async (body: string) =>
    await sendJson('POST', `${api}/import`, body, { 'Content-Type': 'application/x-ndjson' });

  it('takes back bit for bit what an export gave out, also twice', async () => {
    const [id] = ids;
    const exported = await (await fetchExport('inputs=true&values=base64')).text();
    const before = await sendJson('GET', `${api}/${id!}`);
    const outputs = await (await fetch(`${api}/${id!}/outputs`)).arrayBuffer();
    const input = await (await fetch(`${api}/${id!}/input`)).arrayBuffer();
    for (const collection of ['predictions', 'inputs', 'feedback']) {
      await service.db.collection(collection).deleteMany({});
    }

    const lines = exported.trim().split('\n');
    service.service.app.get(InputsStore).forget(JSON.parse(lines[0]!).input.digest);
    const picture = Buffer.from('not really a picture').toString('base64');
    const forged = lines[2]!.replace(picture, Buffer.from('another').toString('base64'));
    const { status, body } = await send([lines[0], lines[1], forged].join('\n'));

    expect(status).toBe(200);
    expect(body).toMatchObject({ accepted: 2, refused: 1, withoutInput: 0 });
    expect(body.faults).toEqual([
      { path: 'line 3: input.content', message: expect.stringContaining('digest') },
    ]);
    await send(lines[0]!);
    const { importedAt, feedback, ...after } = (await sendJson('GET', `${api}/${id!}`)).body;
    const { feedback: said, ...shown } = before.body;
    expect(after).toEqual(shown);
    expect(importedAt).toBeDefined();
    expect(feedback).toMatchObject({ label: said.label, source: said.source, revision: 1 });
    expect(await (await fetch(`${api}/${id!}/outputs`)).arrayBuffer()).toEqual(outputs);
    expect(await (await fetch(`${api}/${id!}/input`)).arrayBuffer()).toEqual(input);
  });

  describe('of a record whose input was erased', () => {
    const erased = { at: '2026-01-02T03:04:05.678Z', reason: '$asked to' };
    const anExport = async (input: PredictionInput): Promise<string> => {
      const id = await record({ model: 'erased', input });
      const lines = await (await fetch(`${api}/export?model=erased`)).text();
      await service.db.collection('predictions').deleteMany({ model: 'erased' });
      const line = JSON.parse(
        lines
          .trim()
          .split('\n')
          .find((text) => text.includes(id))!,
      );
      return JSON.stringify({ ...line, input: { ...line.input, erased } });
    };
    const freshInput = () => tensorInput(aVector(Math.random(), Math.random()));
    const imported = async () =>
      (await sendJson('GET', `${service.url}/api/audit?action=erasure_imported`)).body.items;

    it('says so here as well, once, and the audit says where that is from', async () => {
      const input = freshInput();
      const line = await anExport(input);
      await service.db.collection('inputs').deleteMany({});

      expect((await send([line, line].join('\n'))).body).toMatchObject({ accepted: 2 });
      await send(line);

      const { predictionId } = JSON.parse(line);
      const shown = (await sendJson('GET', `${api}/${predictionId}`)).body;
      expect(shown.input.erased).toEqual(erased);
      const bytes = await sendJson('GET', `${api}/${predictionId}/input`);
      expect([bytes.status, bytes.body.code]).toEqual([404, 'input_erased']);
      const entries = await imported();
      expect(entries).toHaveLength(1);
      expect(entries[0]).toMatchObject({ digest: input.digest, reason: erased.reason });
      // Sent again, it is stored again.
      service.service.app.get(InputsStore).forget(input.digest);
      await record({ model: 'erased', input });
      expect((await sendJson('GET', `${api}/${predictionId}`)).body.input).not.toHaveProperty(
        'erased',
      );
    });

    it('takes nothing away that stands here', async () => {
      const line = await anExport(freshInput());
      const before = await imported();

      await send(line);

      const { predictionId } = JSON.parse(line);
      expect((await fetch(`${api}/${predictionId}/input`)).status).toBe(200);
      expect(await imported()).toEqual(before);
    });

    it('is refused when it does not say when', async () => {
      const line = (await anExport(freshInput())).replace(erased.at, 'some time');

      expect((await send(line)).body.details.faults).toEqual([
        { path: 'line 1: input.erased.at', message: 'must be a time' },
      ]);
    });
  });

  it('takes values as JSON, and a record without its input', async () => {
    const id = await record({ model: 'plain', outputs: aVector(0.1, NaN) });
    const exported = await (await fetch(`${api}/export?model=plain`)).text();
    const before = (await sendJson('GET', `${api}/${id}`)).body;
    await service.db.collection('predictions').deleteMany({ model: 'plain' });

    expect((await send(exported)).body).toMatchObject({ accepted: 1, withoutInput: 1 });

    expect((await sendJson('GET', `${api}/${id}`)).body.outputs).toEqual(before.outputs);
  });

  it.each([
    ['nothing', ''],
    ['no object', '[]'],
    ['another object', '{"predictionId":"6b0179fe9ecacdb3156eb26b"}'],
    ['an operator (73)', '{"predictionId":{"$ne":1},"model":{"$gt":""}}'],
  ])('refuses %s', async (_what, body) => {
    expect((await send(body)).body.code).toBe('no_usable_line');
  });
});
