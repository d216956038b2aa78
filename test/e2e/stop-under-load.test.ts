import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type MongoClient, ObjectId } from 'mongodb';

import { createClient } from '../../src/mongo/connect';
import { embeddedUri } from '../support/embedded-uri';
import { type SpawnedService, spawnService } from '../support/spawn-service';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const CLIENTS = 32;
const files = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');

let dataDir: string;
let service: SpawnedService;
let slowReader: Socket | undefined;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gridstow-load-'));
  service = await start();
});

afterEach(async () => {
  slowReader?.destroy();
  await service.kill('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

const start = async (): Promise<SpawnedService> =>
  await spawnService({ GRIDSTOW_DATA_DIR: dataDir, LOG_LEVEL: 'silent' });
const pause = async (): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, 50));
};

/** What the clients were told: each goes on until the service is gone. */
interface Told {
  readonly predictions: string[];
  readonly versions: Map<number, string>;
  readonly others: Set<number>;
}

async function goOn(told: Told, client: number): Promise<void> {
  const model = `${service.url}/api/models/digits`;
  for (let turn = 0; service.process.exitCode === null; turn++) {
    try {
      const pixel = (): number[] => [Math.random()];
      const rows = Array.from({ length: 8 }, () => Array.from({ length: 8 }, pixel));
      const { status, body } =
        client % 4 === 0
          ? await upload(service.url, 'digits', { ...files, 'note.txt': `${client} ${turn}` })
          : await sendJson('POST', `${model}/predict`, { instances: [rows] });
      if (status === 200) told.predictions.push(body.predictionId);
      else if (status === 201) told.versions.set(body.version, body.digest);
      else told.others.add(status);
    } catch {
      // Its connection was cut, or refused.
      await pause();
    }
  }
}

/** Asks for an archive and reads nothing of it. */
function readNothing(): Socket {
  const { hostname, port } = new URL(service.url);
  const socket = connect(Number(port), hostname).pause();
  socket.on('error', () => undefined);
  socket.write('GET /api/models/large/versions/1/archive HTTP/1.1\r\nHost: x\r\n\r\n');
  return socket;
}

/** Processes that a service started to compute, by its id. */
function executorsOf(pid: number): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(`gridstow-${pid}-`);
    } catch {
      return false;
    }
  });
}

async function inDatabase<T>(ask: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = createClient(await embeddedUri(dataDir), { appName: 'stop-under-load' });
  try {
    return await ask(client);
  } finally {
    await client.close();
  }
}

async function killDatabase(): Promise<void> {
  const { pid } = await inDatabase(
    async (client) => await client.db('admin').command({ serverStatus: 1 }),
  );
  process.kill(Number(pid), 'SIGKILL');
}

async function isRecorded(ids: readonly string[]): Promise<boolean> {
  const _id = { $in: ids.map((id) => new ObjectId(id)) };
  const found = await inDatabase(
    async (client) => await client.db('gridstow').collection('predictions').countDocuments({ _id }),
  );
  return found === ids.length;
}

describe('SIGTERM while the database is lost under 32 clients and one that reads nothing', () => {
  it('ends with 0 and leaves no process behind; the next start has all that was answered (134, 139)', async () => {
    const told: Told = { predictions: [], versions: new Map(), others: new Set() };
    await upload(service.url, 'large', { 'weights.bin': Buffer.alloc(48_000_000, 1) });
    expect((await upload(service.url, 'digits', files)).status).toBe(201);
    slowReader = readNothing();
    const clients = Promise.all(Array.from({ length: CLIENTS }, (_, n) => goOn(told, n)));
    while (told.predictions.length < 100 || told.versions.size < 1) await pause();
    const { pid } = service.process;

    await killDatabase();
    expect(await service.kill('SIGTERM')).toBe(0);

    expect(executorsOf(pid!)).toEqual([]);
    await clients;
    expect([...told.others].filter((status) => status !== 503)).toEqual([]);
    service = await start();
    while (!(await fetch(`${service.url}/health/ready`)).ok) await pause();
    expect(await isRecorded(told.predictions)).toBe(true);
    for (const [version, digest] of told.versions) {
      const url = `${service.url}/api/models/digits/versions/${version}`;
      expect((await sendJson('GET', url)).body).toMatchObject({ state: 'ready', digest });
    }
  });
});
