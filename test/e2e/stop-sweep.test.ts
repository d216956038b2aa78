import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { type Db, ObjectId } from 'mongodb';

import { createClient } from '../../src/mongo/connect';
import { EmbeddedMongod } from '../../src/mongo/embedded-mongod';
import { embeddedUri } from '../support/embedded-uri';
import { spawnService, type SpawnedService } from '../support/spawn-service';

/** Chunks that nobody refers to: many pages for a sweep, with its pauses in between. */
const LOOSE_CHUNKS = 15_000;
const binary = process.env['GRIDSTOW_MONGOD'] ?? '';
let dataDir: string;
let service: SpawnedService;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gridstow-stop-'));
  service = await spawnService({ GRIDSTOW_DATA_DIR: dataDir });
});
afterEach(async () => {
  await service.kill('SIGKILL');
  await rm(dataDir, { recursive: true, force: true });
});

async function withDatabase<T>(uri: string, use: (db: Db) => Promise<T>): Promise<T> {
  const client = createClient(uri, { appName: 'stop-sweep' });
  try {
    return await use(client.db('gridstow'));
  } finally {
    await client.close();
  }
}

const looseChunks = async (db: Db): Promise<number> =>
  await db.collection('artifacts.chunks').countDocuments();

describe('SIGTERM in the middle of a sweep', () => {
  it('ends the sweep behind its page: nothing fails, and the next process may sweep at once', async () => {
    await withDatabase(await embeddedUri(dataDir), async (db) => {
      const chunks = Array.from({ length: LOOSE_CHUNKS }, () => ({
        files_id: new ObjectId(),
        n: 0,
        data: Buffer.from('left over'),
      }));
      await db.collection('artifacts.chunks').insertMany(chunks);
      while ((await looseChunks(db)) === LOOSE_CHUNKS) await sleep(10);
    });

    expect(await service.kill('SIGTERM')).toBe(0);

    expect(service.output()).not.toMatch(/failed|warn/i);
    const mongod = await EmbeddedMongod.start({ dataDir, binary });
    try {
      await withDatabase(mongod.uri, async (db) => {
        expect(await looseChunks(db)).toBeGreaterThan(0);
        expect(await db.collection('leaders').findOne({ holder: { $ne: '' } })).toMatchObject({
          _id: 'sweep',
          until: new Date(0),
        });
      });
    } finally {
      await mongod.stop();
    }
  });
});
