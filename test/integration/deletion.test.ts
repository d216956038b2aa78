import { type Db } from 'mongodb';

import { UploadReaper } from '../../src/models/upload-reaper.service';
import { type VersionDoc } from '../../src/models/version.doc';
import {
  type VersionLeaseDoc,
  VersionLeasesRepository,
} from '../../src/models/version-leases.repository';
import { VersionLeases } from '../../src/models/version-leases.service';
import { createClient } from '../../src/mongo/connect';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { serviceAppName, whileFailing } from '../support/fail-command';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;
let api: string;
let db: Db;
let models = 0;
const v1 = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
const image = Array.from({ length: 8 }, () => Array.from({ length: 8 }, (_, x) => [x / 8]));

beforeAll(async () => {
  service = await bootService();
  api = `${service.url}/api/models`;
  db = service.db;
});

afterAll(async () => {
  await service.close();
});

const remove = async (path: string) => await sendJson('DELETE', `${api}/${path}`);
const show = async (path: string) => await sendJson('GET', `${api}/${path}`);
const predict = async (ref: string) =>
  await sendJson('POST', `${api}/${ref}/predict`, { instances: [image] });
const stateOf = async (id: string): Promise<unknown> =>
  (await db.collection<VersionDoc>('versions').findOne({ _id: id }))?.state;
const reap = async (): Promise<number> => await service.service.app.get(UploadReaper).reap();

/** A model with two ready versions of which nothing holds the second. */
async function twoVersions(): Promise<string> {
  const model = `deleted-${++models}`;
  expect((await upload(service.url, model, v1)).status).toBe(201);
  const metadata = { labels: Array(10).fill('b') };
  expect((await upload(service.url, model, v1, { metadata })).status).toBe(201);
  return model;
}

/** The deletion as it stands once the grace is over. */
async function passGrace(): Promise<void> {
  await db
    .collection('versions')
    .updateMany({ state: 'deleting' }, { $set: { deletingAt: new Date(0) } });
}

describe('DELETE of a version', () => {
  it('hides it at once, keeps its bytes for the grace, and leaves a tombstone', async () => {
    const model = await twoVersions();

    expect((await remove(`${model}/versions/2`)).status).toBe(204);

    expect((await show(`${model}/versions/2`)).status).toBe(404);
    expect((await predict(`${model}/versions/2`)).status).toBe(404);
    expect((await remove(`${model}/versions/2`)).status).toBe(404);
    const moved = await sendJson('PUT', `${api}/${model}/aliases/live`, { version: 2 });
    expect(moved.status).toBe(404);
    const { items } = (await show(`${model}/versions?state=deleting`)).body;
    expect(items).toMatchObject([{ version: 2, state: 'deleting' }]);

    await reap();
    expect(await stateOf(`${model}/2`)).toBe('deleting');
    await passGrace();
    expect(await reap()).toBe(1);
    expect(await stateOf(`${model}/2`)).toBe('deleted');
    expect(await predict(model)).toMatchObject({ status: 200, body: { version: 1 } });
  });

  it('keeps the bytes that a reader found just before, past the grace (23)', async () => {
    const model = await twoVersions();
    const leases = service.service.app.get(VersionLeasesRepository);
    expect((await remove(`${model}/versions/2`)).status).toBe(204);
    const lease = await leases.take(`${model}/2`, 'load', 'elsewhere:1');
    await passGrace();

    expect(await reap()).toBe(0);
    expect(await stateOf(`${model}/2`)).toBe('deleting');

    await leases.release(lease);
    expect(await reap()).toBe(1);
  });

  it('answers from memory what was resolved before it (81)', async () => {
    const model = await twoVersions();
    const ref = `${model}/versions/2`;
    expect((await predict(ref)).status).toBe(200);
    const answers: Promise<{ status: number }>[] = [];
    for (let i = 0; i < 40; i++) answers.push(predict(ref));
    const removed = await remove(ref);
    const statuses = await Promise.all(answers.map(async (answer) => (await answer).status));

    expect(removed.status).toBe(204);
    expect(statuses.filter((status) => status !== 200 && status !== 404)).toEqual([]);
    expect(statuses).toContain(200);
  });

  it('refuses while the version is being read, and says by whom and until when', async () => {
    const model = await twoVersions();
    const leases = service.service.app.get(VersionLeases);
    await leases.holdWhile({ model, version: 2 }, 'download', async () => {
      const { status, body } = await remove(`${model}/versions/2`);

      expect([status, body.code]).toEqual([409, 'version_in_use']);
      expect(body.details).toMatchObject({ model, version: 2, purpose: 'download' });
      expect(body.details.holder).toContain(`:${process.pid}`);
      expect(Date.parse(body.details.until)).toBeGreaterThan(Date.now());
      expect((await show(`${model}/versions/2`)).body.state).toBe('ready');
    });

    expect((await remove(`${model}/versions/2`)).status).toBe(204);
  });

  it('goes by the server about leases whose holder died', async () => {
    const model = await twoVersions();
    const leases = service.service.app.get(VersionLeasesRepository);
    await leases.take(`${model}/2`, 'download', 'died:1');
    expect((await remove(`${model}/versions/2`)).status).toBe(409);
    await db.collection('versionLeases').updateMany({}, { $set: { until: new Date(0) } });

    expect((await remove(`${model}/versions/2`)).status).toBe(204);
  });

  it('refuses to read a version that was deleted meanwhile', async () => {
    const model = await twoVersions();
    await remove(`${model}/versions/2`);
    const leases = service.service.app.get(VersionLeases);

    await expect(
      leases.holdWhile({ model, version: 2 }, 'load', async () => {
        await Promise.resolve();
      }),
    ).rejects.toMatchObject({ code: 'version_not_ready' });
    expect(await db.collection('versionLeases').countDocuments({ version: `${model}/2` })).toBe(0);
  });
});

describe('leases', () => {
  it('gives nothing out of a version that goes while a download is about to begin', async () => {
    const model = await twoVersions();
    const admin = createClient(testMongoUri(), { appName: 'arming' });
    const slow = {
      failCommands: ['update'],
      namespace: `${db.databaseName}.versionLeases`,
      blockConnection: true,
      blockTimeMS: 300,
    };

    const answer = await whileFailing(admin, serviceAppName(db.databaseName), slow, async (met) => {
      const download = fetch(`${api}/${model}/versions/2/files/model.json`);
      await met();
      await db
        .collection<VersionDoc>('versions')
        .updateOne({ _id: `${model}/2` }, { $set: { state: 'deleting', deletingAt: new Date() } });
      return await download;
    });
    await admin.close();

    expect(answer.status).toBe(409);
    expect(await answer.json()).toMatchObject({ code: 'version_not_ready' });
    expect(await stateOf(`${model}/2`)).toBe('deleting');
  });

  it('are taken once for readers of one version at a time, and gone afterwards', async () => {
    const model = await twoVersions();
    const leases = service.service.app.get(VersionLeases);
    const count = async (): Promise<number> =>
      await db.collection('versionLeases').countDocuments({ version: `${model}/2` });
    const seen = await Promise.all(
      Array.from(
        { length: 5 },
        async () =>
          await leases.holdWhile({ model, version: 2 }, 'archive', async () => await count()),
      ),
    );

    expect(seen).toEqual([1, 1, 1, 1, 1]);
    expect(await count()).toBe(0);
  });

  it('stand while a cold load and a download read, and for no prediction from memory', async () => {
    const model = await twoVersions();
    const leases = db
      .collection<VersionLeaseDoc>('versionLeases')
      .watch([{ $match: { operationType: 'insert', 'fullDocument.version': `${model}/2` } }]);
    // Asked once, it is open: from here on it misses nothing.
    await leases.tryNext();

    for (let i = 0; i < 6; i++) expect((await predict(`${model}/versions/2`)).status).toBe(200);
    await (await fetch(`${api}/${model}/versions/2/archive`)).arrayBuffer();

    const purposes: string[] = [];
    while (purposes.at(-1) !== 'archive') {
      const change = await leases.next();
      if (change.operationType === 'insert') purposes.push(change.fullDocument.purpose);
    }
    await leases.close();
    expect(purposes).toEqual(['load', 'archive']);
  });
});

describe('DELETE of a model', () => {
  it('goes the same way: out of sight at once, bytes after the grace', async () => {
    const model = await twoVersions();
    await remove(`${model}/aliases/live`);
    const leases = service.service.app.get(VersionLeases);
    await leases.holdWhile({ model, version: 1 }, 'download', async () => {
      expect((await remove(model)).status).toBe(409);
    });

    expect((await remove(model)).status).toBe(204);

    expect((await show(model)).status).toBe(404);
    expect([await stateOf(`${model}/1`), await stateOf(`${model}/2`)]).toEqual([
      'deleting',
      'deleting',
    ]);
    await passGrace();
    await reap();
    expect(await stateOf(`${model}/1`)).toBe('deleted');
  });
});
