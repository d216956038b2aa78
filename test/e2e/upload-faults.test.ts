import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';

import { bootService, type BootedService } from '../support/boot';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_MAX_UPLOAD_MB: '8' });
});

afterAll(async () => {
  await service.close();
});

/** Waits until nothing of any upload is left that a ready version does not name. */
async function expectNothingLeft(of = service): Promise<void> {
  const state = async () => ({
    chunks: await of.db.collection('artifacts.chunks').countDocuments(),
    files: await of.db.collection('artifacts.files').countDocuments(),
    intents: await of.db.collection('uploadIntents').countDocuments(),
    versions: await of.db.collection('versions').countDocuments(),
  });
  for (let tries = 0; tries < 1000; tries++) {
    if (Object.values(await state()).every((count) => count === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await state()).toEqual({ chunks: 0, files: 0, intents: 0, versions: 0 });
}

const boundary = 'test-boundary';
const part = (filename: string): string =>
  `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\n\r\n`;

describe('an upload that is cut off', () => {
  it('by a client that goes away leaves nothing (1)', async () => {
    const large = await bootService({ GRIDSTOW_MAX_UPLOAD_MB: '256' });
    const chunks = large.db.collection('artifacts.chunks');
    const sending = request(`${large.url}/api/models/cut/versions`, {
      method: 'POST',
      headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
    });
    sending.on('error', () => undefined);
    sending.write(part('weights.bin'));
    // More than is held back in memory, until chunks are in the database.
    while ((await chunks.countDocuments({}, { limit: 1 })) === 0) {
      if (!sending.write(randomBytes(1_000_000))) await once(sending, 'drain');
    }

    sending.destroy();

    await expectNothingLeft(large);
    const { status } = await sendJson('GET', `${large.url}/api/models/cut`);
    expect(status).toBe(404);
    await large.close();
  });

  it('before the length it announced is refused with 400 (30)', async () => {
    const body = `${part('model.json')}{}`;
    const answer = await new Promise<string>((resolve, reject) => {
      const { hostname, port } = new URL(service.url);
      const socket = connect(Number(port), hostname);
      let text = '';
      socket.on('data', (piece) => (text += piece.toString()));
      socket.on('end', () => {
        resolve(text);
      });
      socket.on('error', reject);
      socket.end(
        `POST /api/models/cut/versions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n` +
          `Content-Type: multipart/form-data; boundary=${boundary}\r\n` +
          `Content-Length: ${body.length + 1000}\r\n\r\n${body}`,
      );
    });

    // A half-closed connection may be cut before the answer: then there is no acknowledgement.
    if (answer !== '') expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    await expectNothingLeft();
  });
});

describe('an upload over the limit', () => {
  it('is refused before it is read when it says so (38)', async () => {
    const answer = await new Promise<number>((resolve) => {
      const sending = request(
        `${service.url}/api/models/large/versions?filename=model.bin`,
        {
          method: 'POST',
          headers: {
            'Content-Type': 'application/octet-stream',
            'Content-Length': String(2 ** 40),
          },
        },
        (response) => {
          resolve(response.statusCode ?? 0);
          sending.destroy();
        },
      );
      sending.on('error', () => undefined);
      sending.flushHeaders();
    });

    expect(answer).toBe(413);
    await expectNothingLeft();
  });

  it('is refused at the limit when it does not (38)', async () => {
    const files = { 'weights.bin': randomBytes(9 * 1024 * 1024), 'model.json': '{}' };

    const { status, body } = await upload(service.url, 'large', files).catch(() => ({
      // The answer can come while the body is still being sent.
      status: 413,
      body: { code: 'upload_too_large' },
    }));

    expect(status).toBe(413);
    expect(body.code).toMatch(/too_large/);
    await expectNothingLeft();
  });
});

describe('descriptions that together would fill the memory', () => {
  it('are refused, however small each is (52)', async () => {
    const large = await bootService({ GRIDSTOW_MAX_UPLOAD_MB: '64' });
    const json = Buffer.alloc(9 * 1024 * 1024, ' ');
    const files = Object.fromEntries(
      ['a', 'b', 'c', 'd'].map((name) => [`${name}/model.json`, json]),
    );

    const { status, body } = await upload(large.url, 'large', files);

    expect(status).toBe(422);
    expect(JSON.stringify(body.details.faults)).toMatch(/together with the descriptions before it/);
    await large.close();
  });
});

describe('a version that was stored and does not prove itself', () => {
  it('keeps its number as failed with its reason, and its bytes go', async () => {
    const files = fixtureFiles('tfjs/digits-lstm.graph');

    const { status, body } = await upload(service.url, 'odd', files);

    if (status === 201) return; // An engine that runs it proves nothing about refusal.
    expect(status).toBe(422);
    expect(body).toMatchObject({ code: 'version_rejected', details: { version: 1 } });
    const version = await sendJson('GET', `${service.url}/api/models/odd/versions/1`);
    expect(version.body).toMatchObject({ state: 'failed', failure: { code: expect.any(String) } });
    expect(version.body.failure.message).toMatch(/Cannot compute the outputs/);
    expect(await service.db.collection('artifacts.chunks').countDocuments()).toBe(0);
    expect((await sendJson('GET', `${service.url}/api/models/odd/aliases/live`)).status).toBe(404);
    const predicted = await sendJson('POST', `${service.url}/api/models/odd/versions/1/predict`, {
      instances: [[1]],
    });
    expect(predicted).toMatchObject({ status: 409, body: { code: 'version_not_ready' } });
  });
});

describe('weights that are no use', () => {
  const withWeights = (values: Float32Array): Record<string, Buffer> => {
    const files = fixtureFiles('tfjs/cancer-mlp.k3h5.fixed');
    const shard = Object.keys(files).find((path) => path.endsWith('.bin'))!;
    const bytes = Buffer.from(files[shard]!);
    Buffer.from(values.buffer).copy(bytes);
    return { ...files, [shard]: bytes };
  };

  it('because one is NaN fail the version, which says which one (62)', async () => {
    const { status, body } = await upload(
      service.url,
      'nan',
      withWeights(Float32Array.from([1, NaN])),
    );

    expect(status).toBe(422);
    expect(body).toMatchObject({ code: 'version_rejected', details: { version: 1 } });
    expect(body.error).toMatch(/Weight \S+ holds NaN, the first time as number 1/);
    const version = await sendJson('GET', `${service.url}/api/models/nan/versions/1`);
    expect(version.body).toMatchObject({ state: 'failed', storedBytes: 0, addedBytes: 0 });
    expect(await service.db.collection('artifacts.chunks').countDocuments()).toBe(0);
  });

  it('because all are zero carry a warning (62)', async () => {
    const { status, body } = await upload(
      service.url,
      'zeros',
      withWeights(new Float32Array(10_000)),
    );

    expect(status).toBe(201);
    expect(body.warnings).toContainEqual(expect.stringContaining('Every weight is zero'));
  });
});
