import { bootService, type BootedService } from '../support/boot';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;

beforeAll(async () => {
  service = await bootService();
  const files = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
  expect((await upload(service.url, 'digits', files)).status).toBe(201);
});

afterAll(async () => {
  await service.close();
});

const instances = [Array.from({ length: 8 }, () => Array.from({ length: 8 }, (_, x) => [x / 8]))];
const predict = async (rows = instances) =>
  await sendJson('POST', `${service.url}/api/models/digits/predict`, { instances: rows });
const inputName = async (): Promise<string> => {
  const { body } = await sendJson('GET', `${service.url}/api/models/digits/versions/1`);
  return body.signature.inputs[0].name;
};
const settle = async (batching: object | null) => {
  const { status } = await sendJson('PATCH', `${service.url}/api/models/digits`, { batching });
  expect(status).toBe(200);
};

describe('a body of raw numbers', () => {
  it('is answered as the same numbers in JSON, and recorded with them', async () => {
    const values = Float32Array.from({ length: 128 }, (_, index) => (index % 8) / 8);

    const response = await fetch(
      `${service.url}/api/models/digits/predict?input=${encodeURIComponent(await inputName())}&id=raw-1`,
      {
        method: 'POST',
        headers: { 'Content-Type': 'application/octet-stream' },
        body: values,
      },
    );

    const body = (await response.json()) as any;
    expect([response.status, body.rows, body.id]).toEqual([200, 2, 'raw-1']);
    const json = (await predict()).body.predictions[0] as number[];
    const [output] = Object.values<number[][]>(body.outputs);
    for (const row of output!) {
      row.forEach((score, index) => {
        expect(score).toBeCloseTo(json[index]!, 5);
      });
    }
    const record = await sendJson('GET', `${service.url}/api/predictions/${body.predictionId}`);
    const [input] = Object.values<any>(record.body.input.tensors);
    expect(input).toMatchObject({ shape: [2, 8, 8, 1], values: [...values] });
  });

  it('is refused when its length is no number of rows (70)', async () => {
    const response = await fetch(`${service.url}/api/models/digits/predict`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/octet-stream' },
      body: new Uint8Array(13),
    });

    expect(response.status).toBe(422);
    expect(((await response.json()) as any).error).toContain('a multiple of 256');
  });
});

describe('the batching of a model', () => {
  it('gathers requests as its settings say, and gives each its own answer', async () => {
    const alone = await predict();
    await settle({ maxRows: 4, maxDelayMs: 8_000 });

    const together = await Promise.all([
      predict(),
      predict(),
      predict([...instances, ...instances]),
    ]);

    // The run that warms a new live version may share the call.
    expect(alone.body.rows).toBe(1);
    expect(alone.body.batchRows).toBeLessThanOrEqual(2);
    expect(together.map(({ body }) => [body.rows, body.batchRows])).toEqual([
      [1, 4],
      [1, 4],
      [2, 4],
    ]);
    for (const { body } of together) {
      for (const row of body.predictions) {
        row.forEach((score: number, index: number) => {
          expect(score).toBeCloseTo(alone.body.predictions[0][index], 5);
        });
      }
    }
  });

  it('keeps an invalid request out of the call that others share (63)', async () => {
    await settle({ maxRows: 2, maxDelayMs: 8_000 });

    const [invalid, ...valid] = await Promise.all([
      predict([[[1]]] as never),
      predict(),
      predict(),
    ]);

    expect(invalid.status).toBe(422);
    expect(valid.map(({ status, body }) => [status, body.batchRows])).toEqual([
      [200, 2],
      [200, 2],
    ]);
  });

  it('refuses a request when as many wait as it allows, and says when to come back (108)', async () => {
    await settle({ maxRows: 2, maxDelayMs: 8_000, maxQueue: 1 });
    const first = predict();
    const waiting = async (): Promise<number> =>
      (await sendJson('GET', `${service.url}/api/runtime`)).body.waiting;
    while ((await waiting()) === 0);

    const refused = await fetch(`${service.url}/api/models/digits/predict`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ instances }),
    });

    expect(refused.status).toBe(503);
    expect(refused.headers.get('Retry-After')).toBe('1');
    await settle(null);
    expect((await predict()).body.batchRows).toBe(2);
    expect((await first).status).toBe(200);
  });
});
