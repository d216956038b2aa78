import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { MongoClient } from 'mongodb';

import { freePort } from '../../src/mongo/free-port';
import { testMongoUri } from '../support/database';
import { type SpawnedService, spawnService } from '../support/spawn-service';
import { sendJson } from '../support/uploads';

let folder: string;
let mongod: ChildProcess | undefined;
let service: SpawnedService | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gridstow-start-'));
});

afterEach(async () => {
  await service?.kill('SIGTERM');
  if (mongod?.exitCode === null) {
    const gone = once(mongod, 'exit');
    mongod.kill('SIGKILL');
    await gone;
  }
  service = mongod = undefined;
  await rm(folder, { recursive: true, force: true });
});

const status = async (path: string): Promise<number> =>
  (await sendJson('GET', `${service?.url ?? ''}${path}`)).status;

async function startMongod(port: number, ...args: string[]): Promise<void> {
  const binary = process.env['GRIDSTOW_MONGOD'] ?? '';
  mongod = spawn(
    binary,
    ['--dbpath', folder, '--port', String(port), '--bind_ip', '127.0.0.1', ...args],
    { stdio: 'ignore' },
  );
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`);
  await client.db('admin').command({ ping: 1 });
  if (args.includes('--replSet')) {
    const members = [{ _id: 0, host: `127.0.0.1:${port}` }];
    await client.db('admin').command({ replSetInitiate: { _id: 'rs0', members } });
  }
  await client.close();
}

async function expectRefused(env: Record<string, string>, sentence: RegExp): Promise<void> {
  const output = await spawnService(env).then(
    async (started) => {
      await started.kill('SIGKILL');
      return 'it started';
    },
    (error: unknown) => String(error),
  );

  expect(output).toMatch(/ended with 1: gridstow: /);
  expect(output).toMatch(sentence);
  expect(output).not.toMatch(/\n\s+at /);
}

describe('a start that cannot work ends with 1 and one sentence', () => {
  it('for a setting out of range', async () => {
    await expectRefused({ PORT: 'abc' }, /PORT=abc must be a whole number from 0 to 65535/);
  });

  it('for an address open to the network without keys (123)', async () => {
    await expectRefused({ HOST: '0.0.0.0' }, /GRIDSTOW_ALLOW_ANONYMOUS=true/);
  });

  it('for a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;

    try {
      await expectRefused(
        { PORT: String(port), MONGODB_URI: testMongoUri(), GRIDSTOW_DB: 'taken' },
        /is taken on 127\.0\.0\.1 by another program/,
      );
    } finally {
      other.close();
    }
  });

  it('for a standalone server, saying how to make it a replica set', async () => {
    const port = await freePort();
    await startMongod(port);

    await expectRefused(
      { MONGODB_URI: `mongodb://127.0.0.1:${port}` },
      /standalone server.*--replSet rs0.*rs\.initiate/,
    );
  });
});

describe('a start without its database', () => {
  it('lives, is not ready, answers 503, and becomes ready by itself (136)', async () => {
    const port = await freePort();
    service = await spawnService({
      MONGODB_URI: `mongodb://127.0.0.1:${port}/?replicaSet=rs0`,
      GRIDSTOW_DATA_DIR: folder,
    });
    expect(await status('/health/live')).toBe(200);
    expect(await status('/health/ready')).toBe(503);
    expect(await status('/api/models')).toBe(503);

    await startMongod(port, '--replSet', 'rs0');
    while ((await status('/health/ready')) !== 200) await sleep(200);

    expect(await status('/api/models')).toBe(200);
  });
});

describe('the banner', () => {
  it('says where the service listens, which engine runs and why, and which database', async () => {
    service = await spawnService({ MONGODB_URI: testMongoUri(), GRIDSTOW_DB: 'banner' });
    // The banner is printed line by line, and read as it comes.
    while (!service.output().includes('database banner')) await sleep(50);

    expect(service.output()).toMatch(/listening on http:\/\/127\.0\.0\.1:\d+/);
    expect(service.output()).toMatch(/engine \w+: .+/);
    expect(service.output()).toMatch(/database banner \(MONGODB_URI\)/);
    // It listens before its executors and the database have answered.
    while ((await status('/health/ready')) !== 200) await sleep(50);
    const { body } = await sendJson('GET', `${service.url}/health/ready`);
    expect(body).toMatchObject({ status: 'ready', engine: { name: expect.any(String) } });
    expect(body.engine.why.length).toBeGreaterThan(10);
    expect(await service.kill('SIGTERM')).toBe(0);
  });
});
