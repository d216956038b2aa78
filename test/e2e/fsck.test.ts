import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;
const files = fixtureFiles('tfjs/cancer-mlp.k3h5.fixed');

beforeAll(async () => {
  service = await bootService();
  for (const note of ['a', 'b']) {
    const { status } = await upload(service.url, 'checked', { ...files, 'note.txt': note });
    expect(status).toBe(201);
  }
});

afterAll(async () => {
  await service.close();
});

function run(script: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(__dirname, `../../dist/scripts/${script}.js`), ...args],
    {
      encoding: 'utf8',
      env: { ...process.env, MONGODB_URI: testMongoUri(), GRIDSTOW_DB: service.db.databaseName },
    },
  );
  return { status, output: stdout + stderr };
}

describe('npm run sweep', () => {
  it('says what it would remove, and removes just that', async () => {
    const chunk = { n: 0, data: Buffer.alloc(1_234) };
    const { insertedId } = await service.db.collection('artifacts.chunks').insertOne(chunk);
    await service.db
      .collection('artifacts.chunks')
      .updateOne({ _id: insertedId }, { $set: { files_id: insertedId } });
    const left = async (): Promise<number> =>
      await service.db.collection('artifacts.chunks').countDocuments({ files_id: insertedId });

    expect(run('sweep', '--dry-run').output).toContain('1 blobs (1234 bytes) would go');
    expect(await left()).toBe(1);
    // The service sweeps by itself as well, and only one at a time does.
    let swept = run('sweep');
    while (swept.output.includes('another process')) swept = run('sweep');
    expect(swept.status).toBe(0);
    expect(await left()).toBe(0);
    expect(run('sweep', '--dry-run').output).toContain('0 blobs (0 bytes) would go');
  });
});

describe('npm run fsck', () => {
  it('ends with 0 where everything is as it says', () => {
    const { status, output } = run('fsck');

    expect(output).toContain('read 2 ready versions');
    expect(output).toContain('no damage');
    expect(status).toBe(0);
  });

  it('ends with 1 naming the damaged version, and quarantines it when told to', async () => {
    const { db } = service;
    const blob = await db.collection('artifacts.files').findOne({ filename: /checked\/2\/note/ });
    await db
      .collection('artifacts.chunks')
      .updateOne(
        { files_id: blob?._id },
        { $set: { data: Buffer.alloc(Number(blob?.['length'])) } },
      );

    const found = run('fsck');
    expect([found.status, found.output]).toEqual([
      1,
      expect.stringContaining('DAMAGED checked/2: note.txt'),
    ]);
    const state = async (version: number): Promise<unknown> =>
      (await sendJson('GET', `${service.url}/api/models/checked/versions/${version}`)).body.state;
    expect(await state(2)).toBe('ready');

    expect(run('fsck', '--quarantine').output).toContain('checked/2 is quarantined');
    expect([await state(1), await state(2)]).toEqual(['ready', 'quarantined']);
  });

  it('names a compiled form that is damaged, and takes nothing out of service for it', async () => {
    const { db } = service;
    const blob = await db.collection('artifacts.files').findOne({ filename: /\/\.compiled\// });
    await db
      .collection('artifacts.chunks')
      .updateOne(
        { files_id: blob?._id },
        { $set: { data: Buffer.alloc(Number(blob?.['length'])) } },
      );

    const found = run('fsck', '--quarantine');

    expect([found.status, found.output]).toEqual([
      1,
      expect.stringContaining('DAMAGED checked/1: compiled form'),
    ]);
    const { body } = await sendJson('GET', `${service.url}/api/models/checked/versions/1`);
    expect(body.state).toBe('ready');
    const retired = await db.collection('artifacts.files').findOne({ _id: blob!._id });
    expect(retired?.['metadata']).toMatchObject({ damagedAt: expect.any(Date) });
  });

  it('ends with 2 and one sentence when it cannot look', () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(__dirname, '../../dist/scripts/fsck.js')],
      { encoding: 'utf8', env: { ...process.env, MONGODB_URI: 'nonsense' } },
    );

    expect([status, stderr.trim().split('\n').length]).toEqual([2, 1]);
  });
});
