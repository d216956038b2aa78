import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';

import { type Fault } from '../../src/common/errors';
import { type Signature } from '../../src/common/tensor';
import { type ErrorBody } from '../../src/http/error.filter';
import { createClient } from '../../src/mongo/connect';
import { type PredictAnswer } from '../../src/predictions/predict-answers.service';
import { type PredictionAnswer } from '../../src/predictions/prediction.answer';
import { tensorInput } from '../../src/predictions/prediction-input';
import { RecordingCounts } from '../../src/predictions/recording-counts';
import { flatJson } from '../../src/predictions/tensor-json';
import { type ScoredLabel } from '../../src/predictions/top-labels';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { serviceAppName, whileFailing } from '../support/fail-command';
import { differences, floatTensor, goldenInputs, readGolden } from '../support/golden';
import { readArtifact } from '../support/loadable';
import { publishStored } from '../support/published-version';
import {
  aGraph,
  dividedByZero,
  endlessLoop,
  greaterThanHalf,
  placeholder,
} from '../support/tiny-graphs';
import { sendJson } from '../support/uploads';

const DIGITS = 'tfjs/digits-cnn-v1.k3h5.fixed';
const LABELS = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
const MAX_BODY_BYTES = 3 * 1024 * 1024;

interface Answered<T> {
  readonly status: number;
  readonly body: T;
  readonly headers: Headers;
}
/** Of the two forms and of errors, whichever a test is about. */
type PredictBody = PredictAnswer &
  ErrorBody & {
    readonly predictions: readonly number[][];
    readonly outputs: Readonly<Record<string, number[][]>>;
    readonly top: ScoredLabel[][];
    readonly details: { readonly faults: readonly Fault[] };
  };
type RecordBody = Required<PredictionAnswer>;
type ListBody = ErrorBody & { readonly items: RecordBody[]; readonly next: string | null };

const admin = createClient(testMongoUri(), { appName: 'arming' });
let service: BootedService;
let api: string;

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_MAX_BODY_MB: '3', GRIDSTOW_PREDICT_TIMEOUT_MS: '8000' });
  api = `${service.url}/api`;
  const { db } = service;
  await publishStored(db, 'digits', readArtifact(DIGITS), {
    signature: signatureOf(DIGITS),
    labels: LABELS,
    aliases: ['live', 'canary'],
  });
  await publishStored(db, 'multi', readArtifact('tfjs/digits-multi.k3h5.fixed'), {
    signature: signatureOf('tfjs/digits-multi.k3h5.fixed'),
  });
  const x: Signature['inputs'] = [{ name: 'x', dtype: 'float32', shape: [-1, 3] }];
  await publishStored(db, 'half', greaterThanHalf(), {
    signature: { inputs: x, outputs: [{ name: 'large', dtype: 'bool', shape: [-1, 3] }] },
  });
  await publishStored(db, 'zero', dividedByZero(), {
    signature: { inputs: x, outputs: [{ name: 'y', dtype: 'float32', shape: [-1, 3] }] },
  });
  await publishStored(db, 'outer', outerProduct(), {
    signature: {
      inputs: [
        { name: 'a', dtype: 'float32', shape: [-1, 1] },
        { name: 'b', dtype: 'float32', shape: [1, -1] },
      ],
      outputs: [{ name: 'y', dtype: 'float32', shape: [-1, -1] }],
    },
  });
  await publishStored(db, 'endless', endlessLoop(), {
    signature: {
      inputs: [{ name: 'x', dtype: 'float32', shape: [1] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [1] }],
    },
  });
  for (const recording of ['off', 'queued', 'sampled'] as const) {
    await publishStored(db, `half-${recording}`, greaterThanHalf(), {
      signature: { inputs: x, outputs: [{ name: 'large', dtype: 'bool', shape: [-1, 3] }] },
      ...(recording === 'sampled' ? {} : { recording }),
    });
  }
  await publishStored(db, 'broken', greaterThanHalf(), {
    signature: { inputs: x, outputs: [] },
    state: 'quarantined',
  });
});

afterAll(async () => {
  await service.close();
  await admin.close();
});

/** Shapes of a golden run, with an open batch dimension. */
function signatureOf(model: string): Signature {
  const { inputs, outputs } = readGolden(model);
  const open = ({ name, shape }: { name: string; shape: readonly number[] }) =>
    ({ name: name.replace(/:0$/, ''), dtype: 'float32', shape: [-1, ...shape.slice(1)] }) as const;
  return { inputs: inputs.map(open), outputs: outputs.map(open) };
}

function outerProduct(): Map<string, Uint8Array> {
  return aGraph([
    placeholder('a', 'DT_FLOAT', [-1, 1]),
    placeholder('b', 'DT_FLOAT', [1, -1]),
    { name: 'y', op: 'Mul', input: ['a', 'b'], attr: { T: { type: 'DT_FLOAT' } } },
  ]);
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const send = async <T>(method: string, path: string, body?: unknown): Promise<Answered<T>> =>
  await sendJson(method, `${api}${path}`, body);
const predict = async (ref: string, body: unknown) =>
  await send<PredictBody>('POST', `/models/${ref}/predict`, body);
const getRecord = async (id: string) => (await send<RecordBody>('GET', `/predictions/${id}`)).body;
const list = async (query: string) => await send<ListBody>('GET', `/predictions?${query}`);
const get = async (path: string) => await send<ErrorBody>('GET', path);
const recorded = async (): Promise<number> =>
  await service.db.collection('predictions').countDocuments();

/** The golden digits image as nested lists without the batch dimension. */
function digitsRow(): unknown {
  const [image] = Object.values(goldenInputs(readGolden(DIGITS)));
  const values = flatJson(image!);
  return Array.from({ length: 8 }, (_, y) =>
    Array.from({ length: 8 }, (_, x) => [values[y * 8 + x]]),
  );
}

describe('POST /api/models/{ref}/predict', () => {
  it('answers rows as the reference does, and records them with their input', async () => {
    const golden = readGolden(DIGITS);

    const { status, body, headers } = await predict('digits', {
      instances: [digitsRow()],
      id: 'caller-1',
      tags: { camera: 'left' },
    });

    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: 'caller-1',
      model: 'digits',
      version: 1,
      alias: 'live',
      rows: 1,
      batchRows: 1,
    });
    expect(Object.keys(body.timings)).toEqual(['queueMs', 'inferMs', 'recordMs', 'totalMs']);
    expect(headers.get('Gridstow-Prediction-Id')).toBe(body.predictionId);
    expect(headers.get('Gridstow-Version')).toBe('1');
    const [scores = []] = body.predictions;
    expect(differences(floatTensor([1, 10], scores), golden.outputs[0]!)).toEqual([]);
    const best = Math.max(...scores);
    expect(body.top[0]).toHaveLength(5);
    expect(body.top[0]?.[0]).toEqual({ label: LABELS[scores.indexOf(best)], score: best });

    const record = await getRecord(body.predictionId);
    expect(record).toMatchObject({
      predictionId: body.predictionId,
      model: 'digits',
      version: 1,
      digest: `sha256:${'0'.repeat(64)}`,
      alias: 'live',
      protocol: 'native',
      status: 'ok',
      callerId: 'caller-1',
      tags: { camera: 'left' },
      rows: 1,
      input: { kind: 'tensors', tensors: { image: { dtype: 'float32', shape: [1, 8, 8, 1] } } },
      top: body.top,
    });
    expect(record.input.tensors?.['image']?.values).toEqual((digitsRow() as number[][][]).flat(2));
    expect(Object.values(record.outputs)).toEqual([
      { dtype: 'float32', shape: [1, 10], values: scores },
    ]);
  });

  it('answers the same for a version, for other aliases, and for columns', async () => {
    const row = digitsRow();
    const [live, canary, version, columns] = await Promise.all([
      predict('digits@live', { instances: [row] }),
      predict('digits@canary', { instances: [row, row] }),
      predict('digits/versions/1', { instances: [{ 'image:0': row }] }),
      predict('digits', { inputs: { image: [row] } }),
    ]);

    expect(canary.body).toMatchObject({ alias: 'canary', rows: 2 });
    expect(version.body).not.toHaveProperty('alias');
    expect(version.body.predictions).toEqual(live.body.predictions);
    expect(Object.values(columns.body.outputs)).toEqual([live.body.predictions]);
    expect(columns.body).not.toHaveProperty('predictions');
  });

  it('answers several inputs and outputs by name', async () => {
    const golden = readGolden('tfjs/digits-multi.k3h5.fixed');
    const row = Object.fromEntries(
      Object.entries(goldenInputs(golden)).map(([name, { shape, dtype, data }]) => [
        name,
        nested(flatJson({ shape, dtype, data }), shape.slice(1)),
      ]),
    );

    const { status, body } = await predict('multi', { instances: [row, row] });

    expect(status).toBe(200);
    for (const expected of golden.outputs) {
      const name = expected.name.replace(/:0$/, '');
      const second = body.predictions[1] as unknown as Record<string, number[][]>;
      const values = second[name]!.flat(9);
      expect(differences(floatTensor(expected.shape, values), expected)).toEqual([]);
    }
  });

  it('writes booleans as such, and NaN and infinities as strings (84)', async () => {
    const half = await predict('half', { instances: [[0, 0.5, 1]] });
    const zero = await predict('zero', { instances: [[1, -1, 0]] });

    expect(half.body.predictions).toEqual([[false, false, true]]);
    expect(zero.body.predictions).toEqual([['Infinity', '-Infinity', 'NaN']]);
    const record = await getRecord(zero.body.predictionId);
    expect(record.outputs['y']?.values).toEqual(['Infinity', '-Infinity', 'NaN']);
  });

  it.each([
    ['{"instances":[[1,2,3],[1,2]]}', 422, 'instances[1]', 63],
    ['{"instances":[[1,null,3]]}', 422, 'instances[0][1]', 64],
    ['{"instances":[[1,1e400,3]]}', 422, 'instances[0][1]', 65],
    ['{"inputs":{"y":[[1,2,3]]}}', 422, 'inputs.y', 67],
    ['{"instances":[]}', 422, 'instances', 68],
    ['{"instances":[[1,2,3],5]}', 422, 'instances[1]', 69],
    ['{"inputs":{"constructor":[1]}}', 422, 'inputs.constructor', 73],
    ['{"instance":[[1,2,3]]}', 422, 'instance', 67],
    ['{"instances":[[1,2,3]],"inputs":[[1,2,3]]}', 422, '', 67],
    ['{"instances":[[1,2,3]],"id":{"$gt":""}}', 422, 'id', 89],
    ['{"instances":[[1,2,3]],"tags":{"$a":"b"}}', 422, 'tags', 73],
  ])('refuses %s with %d at %j (%d), recording nothing', async (body, status, path) => {
    const before = await recorded();

    const answer = await predict('half', body);

    expect(answer.status).toBe(status);
    expect(answer.body.details.faults[0]?.path).toBe(path);
    expect(await recorded()).toBe(before);
  });

  it.each([
    ['{"instances":[[1,NaN,3]]}', 65],
    ['{"instances":[[1,2,3]]', 100],
    ['{"instances":[[1,2,3]]} x', 100],
    ['{"instances":[[1,2,3]],"instances":[[1,2,3]]}', 100],
    ['{"__proto__":{"admin":true}}', 97],
    ['[1,2,3]', 98],
    ['null', 98],
    ['', 100],
  ])('cannot read %s (%d)', async (body) => {
    const answer = await predict('half', body);

    expect(answer.status).toBe(400);
    expect(Object.keys(answer.body)).toEqual(['error', 'code', 'details', 'requestId']);
  });

  it('answers half a million levels of nesting at once (72)', async () => {
    expect((await predict('half', `{"instances":${'['.repeat(500_000)}`)).status).toBe(422);
  });

  it.each([
    [undefined],
    ['text/plain'],
    ['application/json; charset=utf-7'],
    ['application/x-www-form-urlencoded'],
  ])('refuses the content type %s (101)', async (type) => {
    const answer = await sendJson('POST', `${api}/models/half/predict`, '{"instances":[[1,2,3]]}', {
      'Content-Type': type ?? '',
    });

    expect(answer).toMatchObject({ status: 415, body: { code: 'unsupported_media_type' } });
  });

  it('takes a body of exactly the limit and refuses one byte more, announced or not (77, 79)', async () => {
    const text = '{"instances":[[1,2,3]]}';
    const full = text + ' '.repeat(MAX_BODY_BYTES - text.length);

    expect((await predict('half', full)).status).toBe(200);
    expect((await predict('half', `${full} `)).status).toBe(413);
    expect(await chunked('/models/half/predict', `${full} `)).toBe(413);
  });

  it('answers a large body as a small one, announced or not', async () => {
    const good = '{"instances":[[0,0.5,1]]}';
    const bad = '{"instances":[[1,2,3],[1,2]]}';
    const large = (text: string): string => text + ' '.repeat(1024 * 1024);
    const { predictions } = (await predict('half', good)).body;
    const { code, details } = (await predict('half', bad)).body;

    expect((await predict('half', large(good))).body.predictions).toEqual(predictions);
    expect(await predict('half', large(bad))).toMatchObject({
      status: 422,
      body: { code, details },
    });
    expect(await chunked('/models/half/predict', large(good))).toBe(200);
    expect(await chunked('/models/half/predict', large(bad))).toBe(422);
  });

  it('takes no query parameters (88)', async () => {
    expect((await sendJson('POST', `${api}/models/half/predict?x[$ne]=1`, {})).status).toBe(400);
  });

  it('answers for what is not there or not ready (87)', async () => {
    const body = { instances: [[1, 2, 3]] };

    expect((await predict('nobody', body)).body.code).toBe('model_not_found');
    expect((await predict('half@nobody', body)).body.code).toBe('alias_not_found');
    expect((await predict('half/versions/9', body)).body.code).toBe('version_not_found');
    expect(await predict('broken', body)).toMatchObject({
      status: 409,
      body: { code: 'version_not_ready' },
    });
    expect((await predict('half/versions/x', body)).status).toBe(422);
  });

  it.each(['%D0%B0bc', 'a'.repeat(300), '-x', 'half@latest', 'half@v1', 'half@', '%00'])(
    'refuses the model ref %s (103)',
    async (ref) => {
      expect((await predict(ref, { instances: [[1, 2, 3]] })).status).toBe(422);
    },
  );

  it('takes no other method and no deeper path (102)', async () => {
    expect((await get('/models/half/predict')).status).toBe(405);
    expect((await predict('half/predict', {})).status).toBe(404);
    expect((await send('PUT', '/models/half/predict', {})).status).toBe(405);
  });

  it('is described with its answers in the OpenAPI document', async () => {
    const { body } = await send<{ paths: Record<string, Record<string, { responses: object }>> }>(
      'GET',
      '/openapi.json',
    );

    const { responses } = body.paths['/api/models/{ref}/predict']!['post']!;
    expect(Object.keys(responses)).toEqual(
      expect.arrayContaining(['200', '400', '404', '409', '413', '415', '422', '503', '504']),
    );
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining([
        '/api/models/{model}/versions/{version}/predict',
        '/api/predictions',
        '/api/predictions/{id}',
        '/api/predictions/{id}/input',
      ]),
    );
  });

  it('records what failed after its input was understood (85)', async () => {
    const a = Array.from({ length: 3 }, () => [1]);

    const { status, body } = await predict('outer', { inputs: { a, b: [[1, 2, 3, 4]] } });
    expect(status).toBe(200);
    expect(body.outputs['y']).toEqual(Array(3).fill([1, 2, 3, 4]));
    const large = await predict('outer', {
      inputs: { a: Array(2048).fill([1]), b: [Array(2048).fill(1)] },
    });

    expect(large).toMatchObject({ status: 413, body: { code: 'output_too_large' } });
    const [failed] = (await list('model=outer&status=failed')).body.items;
    expect(failed).toMatchObject({
      status: 'failed',
      error: { code: 'output_too_large' },
      rows: 2048,
      input: { tensors: { a: { shape: [2048, 1] } } },
    });
    expect(failed).not.toHaveProperty('outputs');
  });

  it('records a prediction that took too long, and answers 504', async () => {
    const answer = await predict('endless', { instances: [1] });

    expect(answer).toMatchObject({ status: 504, body: { code: 'prediction_deadline' } });
    const { items } = (await list('model=endless')).body;
    expect(items).toMatchObject([{ status: 'failed', error: { code: 'prediction_deadline' } }]);
    expect((await predict('half', { instances: [[1, 2, 3]] })).status).toBe(200);
  });

  it('keeps nothing for each of many shapes (80)', async () => {
    const tensors = async (): Promise<number> => {
      const text = await (await fetch(`${service.url}/metrics`)).text();
      return [...text.matchAll(/^gridstow_tensors\{[^}]*\} (\d+)$/gm)].reduce(
        (sum, [, count]) => sum + Number(count),
        0,
      );
    };
    const ask = async (n: number): Promise<number> =>
      (await predict('outer', { inputs: { a: Array(n).fill([1]), b: [Array(3).fill(2)] } })).status;
    await ask(1);
    const before = await tensors();

    for (let first = 2; first <= 400; first += 8) {
      const sizes = Array.from({ length: 8 }, (_, n) => first + n);
      expect(await Promise.all(sizes.map(ask))).toEqual(Array(8).fill(200));
    }

    await ask(1);
    // Others may be loaded again meanwhile; what there were one of for each shape would be 400.
    expect((await tensors()) - before).toBeLessThan(100);
  });

  describe('under an idempotency key', () => {
    const keyed = async (
      key: string,
      body: string | Uint8Array<ArrayBuffer>,
      type?: string,
    ): Promise<Answered<any>> => {
      const response = await fetch(`${api}/models/half/predict`, {
        method: 'POST',
        body,
        headers: {
          'Idempotency-Key': key,
          ...(type === undefined ? {} : { 'Content-Type': type }),
        },
      });
      const { status, headers } = response;
      return { status, headers, body: await response.json() };
    };
    const JSON_TYPE = 'application/json';
    const rows = JSON.stringify({ instances: [[1, 0, 1]], id: 'keyed' });

    it('computes and records once, and answers the same again (83)', async () => {
      const before = await recorded();

      const first = await keyed('k-83', rows, JSON_TYPE);
      const again = await keyed('k-83', rows, JSON_TYPE);

      expect(first.status).toBe(200);
      expect(again.body).toEqual(first.body);
      expect(again.status).toBe(200);
      expect(again.headers.get('Idempotency-Replayed')).toBe('true');
      const id = again.headers.get('Gridstow-Prediction-Id');
      expect(id).toBe(first.body.predictionId);
      expect(await recorded()).toBe(before + 1);
    });

    it('carries out one of several that come at once (83)', async () => {
      const before = await recorded();
      const untilAnswered = async (): Promise<Answered<any>> => {
        const answer = await keyed('k-parallel', rows, JSON_TYPE);
        if (answer.status !== 409) return answer;
        expect(answer.body.code).toBe('idempotency_key_in_flight');
        return await untilAnswered();
      };

      const answers = await Promise.all(Array.from({ length: 20 }, untilAnswered));

      const [{ body: first }] = answers as [Answered<any>];
      expect(answers.map(({ status, body }) => [status, body])).toEqual(
        new Array(20).fill([200, first]),
      );
      expect(await recorded()).toBe(before + 1);
    });

    it('refuses the key for other numbers, in whatever form (83)', async () => {
      const raw = (value: number) => new Uint8Array(Float32Array.of(value, 2, 3).buffer);
      const octets = 'application/octet-stream';
      expect((await keyed('k-raw', raw(1), octets)).status).toBe(200);

      const { status, body } = await keyed('k-raw', raw(7), octets);

      expect([status, body.code]).toEqual([422, 'idempotency_key_reused']);
      expect((await keyed('k-raw', raw(1), octets)).status).toBe(200);
    });

    it('makes a second record under the id of the caller when the process died before the answer (83, 141)', async () => {
      const body = JSON.stringify({ instances: [[3, 2, 1]], id: 'died-83' });
      const first = await keyed('k-died', body, JSON_TYPE);
      // What stands at that moment: the record, and a key whose attempt shows no sign of life.
      await service.db
        .collection<{ _id: string }>('idempotency')
        .updateOne(
          { _id: 'k-died' },
          { $set: { leaseUntil: new Date(0) }, $unset: { settled: '' } },
        );

      const again = await keyed('k-died', body, JSON_TYPE);

      expect(again.status).toBe(200);
      expect(again.headers.get('Idempotency-Replayed')).toBeNull();
      const { predictionId, timings, ...said } = again.body;
      expect(first.body).toMatchObject(said);
      const { items } = (await sendJson('GET', `${api}/predictions?callerId=died-83`)).body;
      expect(items.map((record: { predictionId: string }) => record.predictionId)).toEqual([
        predictionId,
        first.body.predictionId,
      ]);
      expect(items[0].input.digest).toBe(items[1].input.digest);
      expect(timings).toBeDefined();
      // What is said under the id is true of both.
      const { model } = items[0];
      const feedback = `${api}/predictions/feedback?model=${model}&callerId=died-83`;
      await sendJson('PUT', feedback, { values: [1, 1, 1] });
      for (const { predictionId: id } of items) {
        const record = (await sendJson('GET', `${api}/predictions/${id}`)).body;
        expect(record.feedback).toMatchObject({ values: [1, 1, 1] });
      }
      expect((await keyed('k-died', body, JSON_TYPE)).body).toEqual(again.body);
    });

    it('computes again what was not answered (83)', async () => {
      const bad = JSON.stringify({ instances: [[1]] });
      expect((await keyed('k-again', bad, JSON_TYPE)).status).toBe(422);

      expect((await keyed('k-again', rows, JSON_TYPE)).status).toBe(200);
    });
  });

  it('stores an input too large for a record apart, and gives it back whole (78)', async () => {
    const wide = Array.from({ length: 400_000 }, (_, index) => index % 7);

    const { status, body } = await predict('outer', { inputs: { a: [[2]], b: [wide] } });

    expect(status).toBe(200);
    const record = await getRecord(body.predictionId);
    const bytes = await (
      await fetch(`${api}/predictions/${body.predictionId}/input`)
    ).arrayBuffer();
    expect(record.input.bytes).toBeGreaterThan(1_600_000);
    expect(`sha256:${sha256(new Uint8Array(bytes))}`).toBe(record.input.digest);
    // Last: it takes longer than idle connections are kept.
    expect(record.input.tensors?.['b']?.values).toEqual(wide);
  });

  describe('a large body of raw numbers', () => {
    const rows = 4096;
    /** A megabyte: with what stands before it too much for a record. */
    const megabyte = (seed: number) =>
      Float32Array.from({ length: rows * 64 }, (_, at) => ((at * 7 + seed) % 17) / 16);
    const sendRaw = async (values: Float32Array): Promise<Answered<PredictBody>> => {
      const response = await fetch(`${api}/models/digits@live/predict`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/octet-stream' },
        body: new Uint8Array(values.buffer as ArrayBuffer),
      });
      const body = (await response.json()) as PredictBody;
      return { status: response.status, body, headers: response.headers };
    };

    it('is answered like its rows, and stored as the same numbers in JSON would be (78)', async () => {
      const values = megabyte(1);

      const { status, body } = await sendRaw(values);

      expect(status).toBe(200);
      expect(body.rows).toBe(rows);
      const row = nested(Array.from(values.subarray(64, 128)), [1, 8, 8, 1]);
      const alone = await predict('digits@live', { instances: row });
      const [output = ''] = Object.keys(body.outputs);
      alone.body.predictions[0]?.forEach((value, at) => {
        expect(body.outputs[output]?.[1]?.[at]).toBeCloseTo(value, 4);
      });
      const record = await getRecord(body.predictionId);
      const expected = tensorInput({
        [Object.keys(record.input.tensors ?? {})[0] ?? '']: {
          dtype: 'float32',
          shape: [rows, 8, 8, 1],
          data: new Uint8Array(values.buffer),
        },
      });
      expect(record.input.digest).toBe(expected.digest);
      const stored = await fetch(`${api}/predictions/${body.predictionId}/input`);
      expect(expected.content.equals(Buffer.from(await stored.arrayBuffer()))).toBe(true);
    });

    it('is not answered when a piece of it cannot be written (82)', async () => {
      const before = await recorded();

      const answer = await whileFailing(
        admin,
        serviceAppName(service.db.databaseName),
        {
          failCommands: ['insert'],
          namespace: `${service.db.databaseName}.inputs.chunks`,
          errorCode: 50,
        },
        async () => await sendRaw(megabyte(2)),
      );

      expect(answer).toMatchObject({ status: 503, body: { code: 'recording_unavailable' } });
      expect(answer.body).not.toHaveProperty('outputs');
      expect(await recorded()).toBe(before);
      expect((await sendRaw(megabyte(2))).status).toBe(200);
    });
  });

  it.each([
    ['the record', 'predictions'],
    ['the input', 'inputs'],
  ])('withholds the result when %s cannot be written (82)', async (_what, collection) => {
    await predict('half', { instances: [[1, 2, 3]] });
    const before = await recorded();

    const answer = await whileFailing(
      admin,
      serviceAppName(service.db.databaseName),
      {
        failCommands: ['insert'],
        namespace: `${service.db.databaseName}.${collection}`,
        errorCode: 50,
      },
      async () => await predict('half', { instances: [[Math.random(), 2, 3]] }),
    );

    expect(answer).toMatchObject({ status: 503, body: { code: 'recording_unavailable' } });
    expect(answer.body).not.toHaveProperty('predictions');
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect(await recorded()).toBe(before);
    expect((await predict('half', { instances: [[1, 2, 3]] })).status).toBe(200);
  });

  it('answers without a record where recording is off, and before it where it is queued', async () => {
    const before = await recorded();

    const off = await predict('half-off', { instances: [[1, 2, 3]] });
    expect(off.status).toBe(200);
    expect(await recorded()).toBe(before);

    const queued = await predict('half-queued', { instances: [[1, 2, 3]] });
    expect(queued.status).toBe(200);
    for (let n = 0; n < 100 && (await recorded()) === before; n++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await get(`/predictions/${queued.body.predictionId}`)).status).toBe(200);
  });

  it('records a random part where a rate says so, and counts the others', async () => {
    const change = async (recording: unknown) =>
      await sendJson('PATCH', `${api}/models/half-sampled`, { recording });
    expect((await change({ mode: 'durable', rate: 0.5 })).body.recording).toEqual({
      mode: 'durable',
      rate: 0.5,
    });
    const counts = service.service.app.get(RecordingCounts);
    const [before, stood] = [counts.state, await recorded()];

    for (let n = 0; n < 60; n++) await predict('half-sampled', { instances: [[n, 2, 3]] });

    const { state } = counts;
    const [kept, left] = [state.recorded - before.recorded, state.unrecorded - before.unrecorded];
    expect(kept + left).toBe(60);
    // Outside once in 10 million runs.
    expect(kept).toBeGreaterThan(9);
    expect(left).toBeGreaterThan(9);
    expect(await recorded()).toBe(stood + kept);
    for (const faulty of [{ mode: 'durable' }, { mode: 'x', rate: 1 }, { mode: 'off', rate: 2 }]) {
      expect((await change(faulty)).status).toBe(422);
    }
    expect((await change(null)).body).not.toHaveProperty('recording');
  });
});

describe('GET /api/predictions', () => {
  beforeAll(async () => {
    for (let n = 0; n < 5; n++) {
      await predict('digits', { instances: [digitsRow()], id: `listed-${n}` });
    }
  });

  it('lists newest first in pages, without values', async () => {
    const all = (await list('model=digits')).body;
    expect(all.next).toBeNull();
    const ids = all.items.map(({ predictionId }) => predictionId);
    expect([...ids].sort().reverse()).toEqual(ids);
    expect(all.items[0]).toMatchObject({ callerId: 'listed-4' });
    expect(all.items[0]?.input.tensors).toEqual({
      image: { dtype: 'float32', shape: [1, 8, 8, 1] },
    });

    const pages: string[] = [];
    let next: string | null = '';
    while (next !== null) {
      const cursor: string = next === '' ? '' : `&cursor=${next}`;
      const { body } = await list(`model=digits&limit=2${cursor}`);
      pages.push(...body.items.map(({ predictionId }) => predictionId));
      next = body.next;
    }
    expect(pages).toEqual(ids);
  });

  it('filters by what a record says', async () => {
    const { body } = await list('callerId=listed-3');
    expect(body.items).toHaveLength(1);
    const { top, createdAt, predictionId } = body.items[0]!;
    for (const query of [
      'model=digits&version=1&alias=live&status=ok&limit=1000',
      `label=${top[0]![0]!.label}&limit=1000`,
      `since=${createdAt}&limit=1000`,
      `since=${createdAt}&until=${new Date(Date.parse(createdAt) + 1).toISOString()}`,
    ]) {
      const found = (await list(query)).body.items;
      expect(found.map((item) => item.predictionId)).toContain(predictionId);
    }
    expect((await list(`until=${createdAt}&callerId=listed-3`)).body.items).toEqual([]);
  });

  it.each([
    ['model[$ne]=x', 88],
    ['model[$regex]=.*', 88],
    ['model=a&model=b', 91],
    ['callerId=a&callerId=b', 91],
    ['fields=$password', 93],
    ['sort=model', 93],
    ['limit=0', 95],
    ['limit=-1', 95],
    ['limit=1000000000', 95],
    ['limit=abc', 95],
    ['limit=1001', 95],
    ['since=99999-01-01', 96],
    ['since=yesterday', 96],
    ['since=2026-01-02&until=2026-01-01', 96],
    ['status=maybe', 93],
    ['version=1', 93],
    ['alias=live', 93],
    ['model=digits&version=1.5', 93],
    ['model=..', 103],
    ['cursor=abc', 94],
    ['cursor=', 94],
  ])('refuses ?%s (%d)', async (query) => {
    expect((await list(query)).status).toBe(400);
  });

  it('refuses a cursor that was edited, or given out for other filters (94)', async () => {
    const next = (await list('model=digits&limit=2')).body.next!;
    const [place, digits] = next.split('.');
    const forged = Buffer.from(JSON.stringify(['f'.repeat(24)])).toString('base64url');

    expect((await list(`model=digits&cursor=${next}`)).status).toBe(200);
    for (const query of [
      `model=half&cursor=${next}`,
      `cursor=${next}`,
      `model=digits&cursor=${forged}.${digits}`,
      `model=digits&cursor=${place}`,
      `model=digits&cursor=${next}x`,
    ]) {
      expect((await list(query)).body.code).toBe('bad_cursor');
    }
  });
});

describe('GET /api/predictions/{id}', () => {
  it.each(['abc', '[object Object]', 'abcdefghijkl', 'g'.repeat(24), '0'.repeat(25), '{"$gt":""}'])(
    'refuses the id %s (90)',
    async (id) => {
      expect(await get(`/predictions/${encodeURIComponent(id)}`)).toMatchObject({
        status: 400,
        body: { code: 'bad_prediction_id' },
      });
      expect((await get(`/predictions/${encodeURIComponent(id)}/input`)).status).toBe(400);
    },
  );

  it('says that there is no such prediction', async () => {
    expect(await get(`/predictions/${'0'.repeat(24)}`)).toMatchObject({
      status: 404,
      body: { code: 'prediction_not_found' },
    });
    expect((await get(`/predictions/${'0'.repeat(24)}/input`)).status).toBe(404);
  });

  it('gives the exact bytes of the input, to be kept for good', async () => {
    const { body } = await predict('half', { instances: [[1, 2, 3]] });
    const { digest } = (await getRecord(body.predictionId)).input;
    const url = `${api}/predictions/${body.predictionId}/input`;

    const response = await fetch(url);
    const bytes = Buffer.from(await response.arrayBuffer());

    expect(response.headers.get('ETag')).toBe(`"${digest}"`);
    expect(response.headers.get('Content-Type')).toBe('application/octet-stream');
    expect(response.headers.get('Cache-Control')).toContain('immutable');
    expect(`sha256:${sha256(bytes)}`).toBe(digest);
    const header = bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE()));
    expect(JSON.parse(header)).toEqual({
      x: { dtype: 'F32', shape: [1, 3], data_offsets: [0, 12] },
    });
    const again = await fetch(url, {
      // Without a word about caching, fetch would ask for a fresh copy.
      headers: { 'If-None-Match': `"${digest}"`, 'Cache-Control': 'max-age=0' },
    });
    expect(again.status).toBe(304);
    const head = await fetch(url, { method: 'HEAD' });
    expect(head.status).toBe(200);
  });
});

function nested(values: readonly unknown[], shape: readonly number[]): unknown {
  const [size = 1, ...rest] = shape;
  if (rest.length === 0) return values;
  const each = values.length / size;
  return Array.from({ length: size }, (_, at) =>
    nested(values.slice(at * each, (at + 1) * each), rest),
  );
}

/** Sends a body without announcing its length; answers the status. */
async function chunked(path: string, body: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    const sent = httpRequest(
      `${api}${path}`,
      { method: 'POST', headers: { 'Content-Type': 'application/json' } },
      (response) => {
        resolve(response.statusCode ?? 0);
        response.resume();
      },
    );
    sent.on('error', reject);
    sent.write(body.slice(0, 100));
    sent.end(body.slice(100));
  });
}
