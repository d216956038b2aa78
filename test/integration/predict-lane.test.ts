import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';

import { type Signature } from '../../src/common/tensor';
import { bootService, type BootedService } from '../support/boot';
import { publishStored } from '../support/published-version';
import { greaterThanHalf } from '../support/tiny-graphs';

const SIGNATURE: Signature = {
  inputs: [{ name: 'x', dtype: 'float32', shape: [-1, 3] }],
  outputs: [{ name: 'large', dtype: 'bool', shape: [-1, 3] }],
};
const JSON_TYPE = { 'Content-Type': 'application/json' };
const RAW_TYPE = { 'Content-Type': 'application/octet-stream' };
const ROW = '{"instances":[[0.1,0.9,0.4]]}';
const RAW_ROW = Buffer.from(new Float32Array([0.1, 0.9, 0.4]).buffer);

interface Sent {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

let service: BootedService;

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_MAX_BODY_MB: '1' });
  await publishStored(service.db, 'half', greaterThanHalf(), { signature: SIGNATURE });
  await publishStored(service.db, 'broken', greaterThanHalf(), {
    signature: SIGNATURE,
    state: 'quarantined',
  });
});

afterAll(async () => {
  await service.close();
});

/** Over Node's own client, which sends a path as it is given. */
async function send({ path, headers = JSON_TYPE, body = ROW }: Sent) {
  const { hostname, port } = new URL(service.url);
  const request = httpRequest({ hostname, port, method: 'POST', path, headers });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

/** What may differ between two answers to the same request. */
function comparable({ status, headers, body }: Awaited<ReturnType<typeof send>>) {
  const { date, 'x-request-id': id, 'gridstow-prediction-id': prediction, ...others } = headers;
  const { timings, predictionId, requestId, ...said } = JSON.parse(body) as Record<string, object>;
  expect([typeof date, typeof id]).toEqual(['string', 'string']);
  expect(requestId ?? id).toBe(id);
  expect(predictionId ?? prediction).toBe(prediction);
  // Its digits depend on those of the timings.
  expect(Number(others['content-length'])).toBe(body.length);
  // Whoever refuses before the body is there has to close; the short way looks a turn later.
  const { connection, 'keep-alive': keepAlive, ...kept } = others;
  return {
    status,
    headers: { ...kept, 'content-length': 0, ...(status === 200 ? { connection, keepAlive } : {}) },
    said,
    timings: Object.keys(timings ?? {}),
  };
}

describe('the short way of a prediction', () => {
  it.each<[string, Sent]>([
    ['a row', { path: '/api/models/half/predict' }],
    ['an alias', { path: '/api/models/half@live/predict' }],
    ['a version', { path: '/api/models/half/versions/1/predict' }],
    [
      'JSON with its charset',
      {
        path: '/api/models/half/predict',
        headers: { 'Content-Type': 'application/json; charset=utf-8' },
      },
    ],
    [
      'raw numbers with a query',
      { path: '/api/models/half/predict?input=x&id=mine', headers: RAW_TYPE, body: RAW_ROW },
    ],
    [
      'a request id of its own',
      { path: '/api/models/half/predict', headers: { ...JSON_TYPE, 'X-Request-Id': 'mine' } },
    ],
    ['a query that means nothing', { path: '/api/models/half/predict?input=x' }],
    [
      'a parameter that stands twice',
      { path: '/api/models/half/predict?id=a&id=b', headers: RAW_TYPE, body: RAW_ROW },
    ],
    ['a fragment', { path: '/api/models/half/predict?id=a#b', headers: RAW_TYPE, body: RAW_ROW }],
    ['an unknown model', { path: '/api/models/nobody/predict' }],
    ['an unknown version', { path: '/api/models/half/versions/9/predict' }],
    ['a version that is no number', { path: '/api/models/half/versions/one/predict' }],
    ['a name that is none', { path: '/api/models/.half/predict' }],
    ['a version out of service', { path: '/api/models/broken/predict' }],
    ['no JSON', { path: '/api/models/half/predict', body: '{"instances":' }],
    [
      'rows of another width (63)',
      { path: '/api/models/half/predict', body: '{"instances":[[1,2]]}' },
    ],
    [
      'a body that is too large',
      { path: '/api/models/half/predict', body: `[${' '.repeat(1024 * 1024)}]` },
    ],
    [
      'another type',
      { path: '/api/models/half/predict', headers: { 'Content-Type': 'text/plain' } },
    ],
    [
      'a compressed body',
      { path: '/api/models/half/predict', headers: { ...JSON_TYPE, 'Content-Encoding': 'gzip' } },
    ],
    ['no image', { path: '/api/models/half/predict', headers: { 'Content-Type': 'image/png' } }],
  ])('answers %s as the framework does', async (_, sent) => {
    const short = await send(sent);
    // The framework's routes are the same in capitals, which the short way does not look for.
    const long = await send({ ...sent, path: sent.path.replace('/api/', '/API/') });

    expect(comparable(short)).toEqual(comparable(long));
  });

  it('keeps the connection of a small request that it refuses, whose body is there', async () => {
    const path = '/api/models/half/predict';
    const refused = await send({ path, headers: { 'Content-Type': 'text/plain' } });

    expect([refused.status, refused.headers.connection]).toEqual([415, 'keep-alive']);
  });

  it.each(['not one', '<b>', 'a,b', 'x'.repeat(129), ''])(
    'keeps no request id like %j',
    async (given) => {
      for (const path of ['/api/models/half/predict', '/API/models/half/predict']) {
        const { status, headers } = await send({
          path,
          headers: { ...JSON_TYPE, 'X-Request-Id': given },
        });

        expect([status, headers['x-request-id']]).toEqual([
          200,
          expect.stringMatching(/^[0-9a-f-]{36}$/),
        ]);
      }
    },
  );

  it('takes no bytes that are still packed for their way', async () => {
    const headers = { ...RAW_TYPE, 'Transfer-Encoding': 'gzip, chunked' };
    for (const path of ['/api/models/half/predict', '/API/models/half/predict']) {
      const { status, body } = await send({ path, headers, body: RAW_ROW });

      expect([status, JSON.parse(body)]).toMatchObject([415, { code: 'unsupported_media_type' }]);
    }
  });

  const served = async (): Promise<string[]> => {
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    return metrics
      .split('\n')
      .filter((line) => line.startsWith('gridstow_http_request_seconds_count'))
      .filter((line) => line.includes('predict'));
  };

  it('counts no client that went away before its answer', async () => {
    const { hostname, port } = new URL(service.url);
    const path = '/api/models/half/predict';
    const headers = { ...JSON_TYPE, 'Content-Length': '1000' };
    await send({ path });
    const before = await served();

    const request = httpRequest({ hostname, port, method: 'POST', path, headers });
    request.on('error', () => undefined);
    request.write(ROW);
    await once(request, 'socket');
    await send({ path: '/api/models/nobody/predict' });
    const closed = new Promise((resolve) => request.once('close', resolve));
    request.destroy();
    await closed;
    await send({ path: '/api/models/nobody/predict' });

    expect((await served()).filter((line) => line.includes('status="200"'))).toEqual(
      before.filter((line) => line.includes('status="200"')),
    );
  });

  it('counts by the same route as the framework', async () => {
    await send({ path: '/api/models/half/predict' });
    await send({ path: '/api/models/half/versions/1/predict' });
    const before = await served();
    await send({ path: '/API/models/half/predict' });
    await send({ path: '/API/models/half/versions/1/predict' });

    expect((await served()).length).toBe(before.length);
  });
});
