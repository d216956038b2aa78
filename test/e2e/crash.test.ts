import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { MongoClient } from 'mongodb';

import { embeddedUri } from '../support/embedded-uri';
import { type SpawnedService, spawnService } from '../support/spawn-service';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let dataDir: string;
let service: SpawnedService;
const v1 = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
const image = Array.from({ length: 8 }, () => Array.from({ length: 8 }, (_, x) => [x / 8]));

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gridstow-crash-'));
  service = await start();
});

afterEach(async () => {
  await service.kill('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

async function start(): Promise<SpawnedService> {
  return await spawnService({ GRIDSTOW_DATA_DIR: dataDir });
}

const get = async (path: string) => await sendJson('GET', `${service.url}/api${path}`);
const predict = async (ref: string) =>
  await sendJson('POST', `${service.url}/api/models/${ref}/predict`, { instances: [image] });

/** Sends the head of a multipart upload and part of a file, then keeps still. */
async function beginUpload(model: string, bytes: number): Promise<() => void> {
  const boundary = 'x-test-boundary';
  const sending = request(`${service.url}/api/models/${model}/versions`, {
    method: 'POST',
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
  });
  // Whatever ends the connection is what the test is about.
  sending.on('error', () => undefined);
  sending.write(
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n`,
  );
  for (let sent = 0; sent < bytes; sent += 65_536) {
    if (!sending.write(Buffer.alloc(65_536, sent % 251))) {
      await new Promise((resolve) => sending.once('drain', resolve));
    }
  }
  return () => {
    sending.destroy();
  };
}

/** Looks into the embedded database while the service runs. */
async function inDatabase<T>(look: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = new MongoClient(await embeddedUri(dataDir));
  try {
    return await look(client);
  } finally {
    await client.close();
  }
}

const leftovers = async (): Promise<{ chunks: number; intents: number; unready: number }> =>
  await inDatabase(async (client) => {
    const db = client.db('gridstow');
    const versions = await db.collection('versions').find({ state: 'ready' }).toArray();
    const referenced = versions.flatMap(({ blobs }) => blobs);
    return {
      chunks: await db
        .collection('artifacts.chunks')
        .countDocuments({ files_id: { $nin: referenced } }),
      intents: await db.collection('uploadIntents').countDocuments(),
      unready: await db
        .collection('versions')
        .countDocuments({ state: { $in: ['pending', 'verifying'] } }),
    };
  });

describe('kill -9 of the service', () => {
  it('in the middle of an upload leaves the old state, and nothing half-done (2, 3)', async () => {
    expect((await upload(service.url, 'digits', v1)).status).toBe(201);
    const abort = await beginUpload('digits', 60_000_000);

    await service.kill('SIGKILL');
    abort();
    service = await start();

    const { body } = await get('/models/digits/versions');
    expect(body.items).toHaveLength(1);
    expect(body.items[0]).toMatchObject({ version: 1, state: 'ready', aliases: ['live'] });
    expect(await leftovers()).toEqual({ chunks: 0, intents: 0, unready: 0 });
    expect((await predict('digits')).status).toBe(200);
  });

  it('at random times during uploads and predictions loses nothing acknowledged (3, 4, 5, 6, 139)', async () => {
    expect((await upload(service.url, 'digits', v1)).status).toBe(201);
    const acknowledged = { predictions: [] as string[], versions: [1] };
    for (let round = 0; round < 4; round++) {
      let running = true;
      const isRunning = (): boolean => running;
      const predicting = (async () => {
        while (isRunning()) {
          const answer = await predict('digits').catch(() => null);
          if (answer?.status === 200) acknowledged.predictions.push(answer.body.predictionId);
        }
      })();
      const uploading = (async () => {
        for (let n = 0; isRunning(); n++) {
          const metadata = { labels: Array(10).fill(`round ${round} upload ${n}`) };
          const answer = await upload(service.url, 'digits', v1, { metadata }).catch(() => null);
          if (answer?.status === 201) acknowledged.versions.push(answer.body.version);
        }
      })();

      // Long enough for uploads to be caught at every stage over the rounds.
      await new Promise((resolve) => setTimeout(resolve, 700 + round * 333));
      await service.kill('SIGKILL');
      running = false;
      await Promise.all([predicting, uploading]);
      service = await start();

      for (const version of acknowledged.versions) {
        expect((await get(`/models/digits/versions/${version}`)).body.state).toBe('ready');
      }
      const { body } = await get('/models/digits/versions?state=pending&state=verifying');
      expect(body.items).toEqual([]);
      expect(await leftovers()).toEqual({ chunks: 0, intents: 0, unready: 0 });
    }
    expect(acknowledged.predictions.length).toBeGreaterThan(10);
    for (const id of acknowledged.predictions) {
      const { status, body } = await get(`/predictions/${id}`);
      expect([id, status, body.status]).toEqual([id, 200, 'ok']);
      expect(body.input.tensors.image.values).toHaveLength(64);
    }
  });
});

describe('a second service', () => {
  it('on the same data directory says so in one sentence and ends with 1', async () => {
    const second = spawnService({ GRIDSTOW_DATA_DIR: dataDir });

    await expect(second).rejects.toThrow(/ended with 1: .*already runs on the data directory/);
  });
});

describe('a database that goes away', () => {
  it('leaves the service alive and not ready, calls answer 503, and it recovers (139)', async () => {
    expect((await upload(service.url, 'digits', v1)).status).toBe(201);
    expect((await predict('digits')).status).toBe(200);
    const statuses = await inDatabase(async (client) => {
      const { pid } = await client.db('admin').command({ serverStatus: 1 });
      process.kill(Number(pid), 'SIGKILL');
      const live = await sendJson('GET', `${service.url}/health/live`);
      const answer = await predict('digits');
      return { live: live.status, predict: answer.status, code: answer.body.code };
    });

    expect(statuses.live).toBe(200);
    // Whoever comes first after the restart may already be served.
    expect([200, 503]).toContain(statuses.predict);
    for (let tries = 0; tries < 100; tries++) {
      if ((await sendJson('GET', `${service.url}/health/ready`)).status === 200) break;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect((await predict('digits')).status).toBe(200);
    expect((await get('/models/digits')).body.aliases).toEqual({ live: 1 });
  });
});
