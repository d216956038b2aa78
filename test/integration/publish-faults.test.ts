import { ObjectId } from 'mongodb';

import { Sweeper } from '../../src/models/sweeper.service';
import { LeadersRepository } from '../../src/models/leaders.repository';
import { bootService, type BootedService } from '../support/boot';
import { freshDatabase } from '../support/database';
import { type CommandFailure, serviceAppName, whileFailing } from '../support/fail-command';
import { findViolations } from '../support/invariants';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;
let models = 0;
const files = fixtureFiles('tfjs/cancer-mlp.k3h5.fixed');

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_DELETE_GRACE_MS: '0' });
});

afterAll(async () => {
  await service.close();
});

const publish = async (model: string) =>
  await upload(
    service.url,
    model,
    { ...files, 'note.txt': model },
    { headers: { 'Idempotency-Key': model } },
  );

/** Uploads while commands on a collection fail, and gives the answer and its model. */
async function publishFailing(collection: string, failure: CommandFailure) {
  const model = `failing-${++models}`;
  const answer = await whileFailing(
    service.db.client,
    serviceAppName(service.db.databaseName),
    { ...failure, namespace: `${service.db.databaseName}.${collection}` },
    async () => await publish(model),
  );
  return { model, answer };
}

async function cleanUp(): Promise<void> {
  const past = new Date(0);
  for (;;) {
    await service.db.collection('uploadIntents').updateMany({}, { $set: { leaseUntil: past } });
    const sweeper = service.service.app.get(Sweeper);
    if ((await sweeper.sweep({ pauseMs: 0 })).finished) return;
  }
}

/** The same key must come to one ready version, and nothing may be left of the failed attempt. */
async function expectConvergence(model: string): Promise<void> {
  await cleanUp();
  const again = await publish(model);
  expect([200, 201]).toContain(again.status);
  const ready = await service.db.collection('versions').countDocuments({ model, state: 'ready' });
  expect(ready).toBe(1);
  await cleanUp();
  expect(await findViolations(service.db)).toEqual([]);
}

const REFUSED = { failCommands: ['insert'], errorCode: 11600 };
const UNSURE = { code: 91, errmsg: 'shutting down' };

describe('a publish whose database fails', () => {
  it('at a chunk answers 503, and succeeds when repeated (7)', async () => {
    const { model, answer } = await publishFailing('artifacts.chunks', REFUSED);

    expect(answer.status).toBe(503);
    expect(await service.db.collection('versions').countDocuments({ model })).toBe(0);
    await expectConvergence(model);
  });

  it('after a chunk, before saying so, stores it once (8)', async () => {
    const { model, answer } = await publishFailing('artifacts.chunks', {
      failCommands: ['insert'],
      writeConcernError: UNSURE,
    });

    expect([201, 503]).toContain(answer.status);
    await expectConvergence(model);
  });

  it('after a files document, before saying so, makes no second file (9)', async () => {
    const { model, answer } = await publishFailing('artifacts.files', {
      failCommands: ['insert'],
      writeConcernError: UNSURE,
    });

    expect([201, 503]).toContain(answer.status);
    await expectConvergence(model);
  });

  it('after the commit, before a majority has it, is the version once it is read (10)', async () => {
    const { model, answer } = await publishFailing('versions', {
      failCommands: ['update'],
      writeConcernError: UNSURE,
    });

    expect(answer.status).toBe(503);
    await expectConvergence(model);
  });

  it('by cutting the connection at the commit comes to one version with the same key (11)', async () => {
    const { model, answer } = await publishFailing('versions', {
      failCommands: ['update'],
      closeConnection: true,
    });

    expect(answer.status).toBe(503);
    await expectConvergence(model);
  });

  it('for want of disk space answers 503 and goes on reading (34)', async () => {
    const kept = `failing-${++models}`;
    expect((await publish(kept)).status).toBe(201);
    const { answer, model } = await publishFailing('artifacts.chunks', {
      failCommands: ['insert'],
      errorCode: 14031,
    });

    expect(answer.status).toBe(503);
    const { status } = await sendJson('GET', `${service.url}/api/models/${kept}/versions/1`);
    expect(status).toBe(200);
    await expectConvergence(model);
  });
});

describe('a store without its unique index', () => {
  it('is not ready, and takes no uploads (15)', async () => {
    const database = freshDatabase();
    const doubled = { files_id: new ObjectId(), n: 0, data: Buffer.alloc(1) };
    await database.db.collection('artifacts.chunks').insertMany([{ ...doubled }, { ...doubled }]);
    const other = await bootService({ GRIDSTOW_DB: database.name });
    try {
      expect((await sendJson('GET', `${other.url}/health/ready`)).status).toBe(503);
      expect((await upload(other.url, 'digits', files)).status).toBe(503);
    } finally {
      await other.close();
      await database.close();
    }
  });
});

describe('Sweeper', () => {
  const loose = async (): Promise<void> => {
    await service.db.collection('artifacts.chunks').insertOne({
      files_id: new ObjectId(),
      n: 0,
      data: Buffer.alloc(1_000),
    });
  };

  it('says in a dry run how many bytes nobody reaches, and removes none', async () => {
    await cleanUp();
    await loose();
    const sweeper = service.service.app.get(Sweeper);

    const dry = await sweeper.sweep({ isDryRun: true, pauseMs: 0 });

    expect(dry).toMatchObject({ finished: true, blobs: 1, storedBytes: 1_000 });
    expect(await sweeper.sweep({ isDryRun: true, pauseMs: 0 })).toEqual(dry);
    await cleanUp();
    expect(await sweeper.sweep({ isDryRun: true, pauseMs: 0 })).toMatchObject({ blobs: 0 });
  });

  it('leaves what an upload that is alive has written, however old it is (27)', async () => {
    const { db } = service;
    const upload = ObjectId.createFromHexString('5'.repeat(18) + '000000');
    const blob = ObjectId.createFromHexString('5'.repeat(18) + '000001');
    await db.collection('uploadIntents').insertOne({
      _id: upload,
      model: 'slow',
      uses: [],
      leaseUntil: new Date(Date.now() + 60_000),
    });
    await db
      .collection('artifacts.chunks')
      .insertOne({ files_id: blob, n: 0, data: Buffer.alloc(10) });

    await service.service.app.get(Sweeper).sweep({ pauseMs: 0 });
    expect(await db.collection('artifacts.chunks').countDocuments({ files_id: blob })).toBe(1);

    await cleanUp();
    expect(await db.collection('artifacts.chunks').countDocuments({ files_id: blob })).toBe(0);
  });

  it('stops when it stood still and another one leads by now (28)', async () => {
    const leaders = service.service.app.get(LeadersRepository);
    const paused = await leaders.take('work', 'paused:1');
    expect(paused).not.toBeNull();
    expect(await leaders.take('work', 'other:2')).toBeNull();
    await service.db
      .collection<{ _id: string }>('leaders')
      .updateOne({ _id: 'work' }, { $set: { until: new Date(0) } });

    const successor = await leaders.take('work', 'other:2');

    expect(successor).toBe((paused ?? 0) + 1);
    expect(await leaders.renew('work', paused ?? 0)).toBe(false);
    expect(await leaders.renew('work', successor ?? 0)).toBe(true);
    await leaders.release('work', paused ?? 0);
    expect(await leaders.take('work', 'third:3')).toBeNull();
  });
});
