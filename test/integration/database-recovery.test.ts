import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { createClient } from '../../src/mongo/connect';
import { DatabaseService } from '../../src/mongo/database.service';
import { EmbeddedMongod } from '../../src/mongo/embedded-mongod';
import { Schema } from '../../src/mongo/schema';

const binary = process.env['GRIDSTOW_MONGOD'] ?? '';

async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

async function untilHealth(database: DatabaseService, ok: boolean): Promise<void> {
  while ((await database.health()).ok !== ok) await sleep(100);
}

describe('DatabaseService', () => {
  let dataDir: string;
  let mongod: EmbeddedMongod | undefined;
  let database: DatabaseService;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'gridstow-recovery-'));
  });
  afterEach(async () => {
    await database.stop();
    await mongod?.stop();
    mongod = undefined;
    await rm(dataDir, { recursive: true, force: true });
  });

  function connectTo(port: number): DatabaseService {
    const uri = `mongodb://127.0.0.1:${String(port)}/?replicaSet=rs0`;
    const client = createClient(uri, { appName: 'test', serverSelectionTimeoutMS: 500 });
    database = new DatabaseService(client, 'recovery', new Schema(), () => undefined);
    return database;
  }

  it('becomes healthy by itself when the database comes after the service (136)', async () => {
    const port = await unusedPort();
    await connectTo(port).start();
    expect((await database.health()).ok).toBe(false);

    mongod = await EmbeddedMongod.start({ dataDir, binary, port });

    await untilHealth(database, true);
    expect((await database.health()).ok).toBe(true);
  });

  it('is unhealthy while the server is gone and healthy again after (139)', async () => {
    mongod = await EmbeddedMongod.start({ dataDir, binary });
    await connectTo(mongod.port).start();
    await untilHealth(database, true);

    process.kill(mongod.pid, 'SIGSTOP');
    await untilHealth(database, false);
    process.kill(mongod.pid, 'SIGKILL');

    await untilHealth(database, true);
    expect((await database.health()).ok).toBe(true);
  });
});
