import { type ObjectId } from 'mongodb';

import { UploadReaper } from '../../src/models/upload-reaper.service';
import { CompiledForms, type ProvenForm } from '../../src/models/compiled-forms.service';
import { toLoadable, type VersionDoc } from '../../src/models/version.doc';
import { VersionsRepository } from '../../src/models/versions.repository';
import { COMPILER_VERSION } from '../../src/runtime/compile/compiler-version';
import { bootService, type BootedService } from '../support/boot';
import { type FreshDatabase, freshDatabase } from '../support/database';
import { findViolations } from '../support/invariants';
import { deleteOnceUnread, fixtureFiles, sendJson, upload } from '../support/uploads';

const cancer = fixtureFiles('tfjs/cancer-mlp.k3h5.fixed');
const [digits, retrained] = ['v1', 'v2'].map((name) =>
  fixtureFiles(`tfjs/digits-cnn-${name}.k3h5.fixed`),
);

let database: FreshDatabase;
let services: BootedService[] = [];

/** A replica on the database of the test. */
async function start(): Promise<BootedService> {
  const service = await bootService({
    MONGODB_URI: database.uri,
    GRIDSTOW_DB: database.name,
    GRIDSTOW_DELETE_GRACE_MS: '0',
    GRIDSTOW_ENGINE: 'auto',
  });
  services.push(service);
  return service;
}

async function stopAll(): Promise<void> {
  await Promise.all(
    services.map(async (service) => {
      await service.close();
    }),
  );
  services = [];
}

beforeEach(() => {
  database = freshDatabase();
});

afterEach(async () => {
  await stopAll();
  await database.close();
});

async function docOf(model: string, version = 1): Promise<VersionDoc> {
  const versions = database.db.collection<VersionDoc>('versions');
  return (await versions.findOne({ _id: `${model}/${version}` }))!;
}

/** Ids of the blobs that hold compiled forms, whoever refers to them. */
async function formBlobs(): Promise<string[]> {
  const files = database.db.collection('artifacts.files');
  const found = await files.find({ filename: /\/\.compiled\/onnx@0$/ }).toArray();
  return found.map(({ _id }) => String(_id)).sort();
}

function formOf({ compiled }: VersionDoc): string | undefined {
  return compiled?.ref.segments.map(({ blob }) => String(blob)).join();
}

async function rewrite(model: string, values: object): Promise<void> {
  await database.db
    .collection<VersionDoc>('versions')
    .updateOne({ _id: `${model}/1` }, { $set: values });
}

async function predict({ url }: BootedService, model: string): Promise<readonly number[][]> {
  const answer = await sendJson('POST', `${url}/api/models/${model}/predict`, {
    instances: [Array.from({ length: 30 }, (_, at) => Math.sin(at))],
  });
  expect(answer.status).toBe(200);
  return answer.body.predictions;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 50));
}

describe('the compiled form of a version', () => {
  it('is stored beside it once it was proven, and counted in nothing that the version counts', async () => {
    const service = await start();
    const { body } = await upload(service.url, 'cancer', cancer);
    const doc = await docOf('cancer');

    expect(doc.compiled).toMatchObject({ engine: 'onnx', release: COMPILER_VERSION });
    const { sha256, rawBytes, storedBytes } = doc.compiled!.ref;
    expect(body.compiled).toEqual({
      engine: 'onnx',
      release: COMPILER_VERSION,
      digest: `sha256:${sha256}`,
      bytes: rawBytes,
      storedBytes,
    });
    expect(await formBlobs()).toEqual([formOf(doc)]);
    expect(body.files.map(({ path }: { path: string }) => path).sort()).toEqual(
      Object.keys(cancer).sort(),
    );
    expect(storedBytes).toBeLessThan(1000);
    expect(await findViolations(database.db)).toEqual([]);
  });

  it('is one for versions that differ in their weights alone, and goes with the last of them', async () => {
    const { url } = await start();
    await upload(url, 'digits', digits!);
    await upload(url, 'digits', retrained!);
    const [first, second] = [await docOf('digits', 1), await docOf('digits', 2)];

    expect(formOf(second)).toBe(formOf(first));
    expect(second.digest).not.toBe(first.digest);
    expect(await deleteOnceUnread(`${url}/api/models/digits/versions/2`)).toBe(204);
    expect(await formBlobs()).toEqual([formOf(first)]);
    await sendJson('DELETE', `${url}/api/models/digits/aliases/live`);
    expect(await deleteOnceUnread(`${url}/api/models/digits`)).toBe(204);
    expect(await database.db.collection('artifacts.files').countDocuments()).toBe(0);
    expect(await database.db.collection('artifacts.chunks').countDocuments()).toBe(0);
  });

  it.each([
    ['an older', COMPILER_VERSION - 1],
    ['a newer', COMPILER_VERSION + 1],
  ])(
    'of %s release is proven and stored anew, and the next engine serves until then',
    async (_, release) => {
      const expected = await (async () => {
        const service = await start();
        await upload(service.url, 'cancer', cancer);
        return await predict(service, 'cancer');
      })();
      const before = await docOf('cancer');
      await stopAll();
      await rewrite('cancer', { 'compiled.release': release, 'engines.onnx.compiler': release });

      const service = await start();
      expect((await predict(service, 'cancer'))[0]?.[0]).toBeCloseTo(expected[0]![0]!, 5);

      await until(async () => (await docOf('cancer')).compiled?.release === COMPILER_VERSION);
      const after = await docOf('cancer');
      expect(after.engines['onnx']).toMatchObject({ ok: true, compiler: COMPILER_VERSION });
      expect(after.digest).toBe(before.digest);
      expect(await formBlobs()).toEqual([formOf(after)]);
      await until(
        async () => (await database.db.collection('uploadIntents').countDocuments()) === 0,
      );
      expect(await findViolations(database.db)).toEqual([]);
    },
  );

  it('that is missing is made by the first load of a version that nobody has promoted', async () => {
    const service = await start();
    await upload(service.url, 'cancer', cancer);
    await upload(service.url, 'cancer', { ...cancer, 'note.txt': 'b' });
    await database.db
      .collection<VersionDoc>('versions')
      .updateOne({ _id: 'cancer/2' }, { $unset: { compiled: '' } });

    const load = `${service.url}/api/models/cancer/versions/2/load`;
    expect((await sendJson('POST', load)).status).toBe(200);

    await until(async () => (await docOf('cancer', 2)).compiled !== undefined);
    expect(formOf(await docOf('cancer', 2))).toBe(formOf(await docOf('cancer', 1)));
    await until(async () => (await database.db.collection('uploadIntents').countDocuments()) === 0);
    expect(await findViolations(database.db)).toEqual([]);
  });

  it('that is damaged takes nothing from the version: it is compiled again and stored anew', async () => {
    let service = await start();
    await upload(service.url, 'cancer', cancer);
    const expected = await predict(service, 'cancer');
    const before = await docOf('cancer');
    const { blob, storedBytes } = before.compiled!.ref.segments[0]!;
    await stopAll();
    await database.db
      .collection('artifacts.chunks')
      .updateOne({ files_id: blob }, { $set: { data: Buffer.alloc(storedBytes) } });

    service = await start();
    expect(await predict(service, 'cancer')).toEqual(expected);

    await until(async () => formOf(await docOf('cancer')) !== formOf(before));
    const after = await docOf('cancer');
    expect([after.state, after.failure]).toEqual(['ready', null]);
    expect(after.compiled?.ref.sha256).toBe(before.compiled?.ref.sha256);
    await until(async () => (await database.db.collection('uploadIntents').countDocuments()) === 0);
    expect(await formBlobs()).toEqual([formOf(after)]);
    expect(await findViolations(database.db)).toEqual([]);
  });
});

describe('renewing a compiled form', () => {
  const aForm = (text: string): ProvenForm => ({
    engine: 'onnx',
    release: COMPILER_VERSION,
    bytes: Buffer.from(`{"release":${COMPILER_VERSION},"note":"${text}"}`),
  });
  const formsOf = ({ service }: BootedService): CompiledForms => service.app.get(CompiledForms);

  it('by two replicas at once ends in one form that somebody refers to, and none besides', async () => {
    const [one, other] = [await start(), await start()];
    await upload(one.url, 'cancer', cancer);
    const version = toLoadable(await docOf('cancer'));

    for (let round = 0; round < 10; round++) {
      const same = round % 2 === 0;
      const renewed = await Promise.all([
        formsOf(one).renew(version, version.engines, aForm(`a${round}`)),
        formsOf(other).renew(version, version.engines, aForm(same ? `a${round}` : `b${round}`)),
      ]);

      expect(renewed).toEqual([true, true]);
      expect(await formBlobs()).toEqual([formOf(await docOf('cancer'))]);
      expect(await database.db.collection('uploadIntents').countDocuments()).toBe(0);
    }
    expect(await findViolations(database.db)).toEqual([]);
  });

  it('does not bring a version back that is deleted meanwhile, and leaves nothing of it', async () => {
    const service = await start();
    await upload(service.url, 'cancer', cancer);

    for (let round = 0; round < 8; round++) {
      const { body } = await upload(service.url, 'cancer', { ...cancer, 'note.txt': `${round}` });
      const version = toLoadable(await docOf('cancer', body.version as number));
      const path = `${service.url}/api/models/cancer/versions/${version.version}`;

      const [, { status }] = await Promise.all([
        formsOf(service).renew(version, version.engines, aForm(`${round}`)),
        new Promise((resolve) => setTimeout(resolve, round * 3)).then(
          async () => await sendJson('DELETE', path),
        ),
      ]);

      expect(status).toBe(204);
      expect((await docOf('cancer', version.version)).state).toBe('deleted');
      expect(await formBlobs()).toEqual([formOf(await docOf('cancer'))]);
      expect(await database.db.collection('uploadIntents').countDocuments()).toBe(0);
    }
    expect(await findViolations(database.db)).toEqual([]);
  });

  it('whose hold is taken over right before it refers to its form does not', async () => {
    const service = await start();
    await upload(service.url, 'cancer', cancer);
    const before = await docOf('cancer');
    const version = toLoadable(before);
    const session = database.client.startSession();
    session.startTransaction();
    // Whoever writes to the document has to wait.
    await database.db
      .collection<VersionDoc>('versions')
      .updateOne({ _id: 'cancer/1' }, { $set: { description: 'held' } }, { session });

    const renewing = formsOf(service).renew(version, version.engines, aForm('late'));
    await until(async () => (await formBlobs()).length === 2);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await service.service.app.get(UploadReaper).reap({ soleOwner: true });
    await session.abortTransaction();
    await session.endSession();

    expect(await renewing).toBe(false);
    expect(await docOf('cancer')).toEqual(before);
    expect(await formBlobs()).toEqual([formOf(before)]);
    expect(await findViolations(database.db)).toEqual([]);
  });

  it('that stood still for too long refers to nothing that was cleaned up meanwhile', async () => {
    const service = await start();
    await upload(service.url, 'cancer', cancer);
    const version = toLoadable(await docOf('cancer'));
    const reaper = service.service.app.get(UploadReaper);
    let given = 0;

    for (let round = 0; round < 20; round++) {
      const [renewed] = await Promise.all([
        formsOf(service).renew(version, version.engines, aForm(`${round}`)),
        new Promise((resolve) => setTimeout(resolve, round * 2)).then(
          async () => await reaper.reap({ soleOwner: true }),
        ),
      ]);

      if (!renewed) given++;
      const doc = await docOf('cancer');
      expect(await formBlobs()).toEqual(formOf(doc) === undefined ? [] : [formOf(doc)]);
    }
    expect(given).toBeLessThan(20);
    expect(await findViolations(database.db)).toEqual([]);
  });

  it('of a version in quarantine changes nothing', async () => {
    const service = await start();
    await upload(service.url, 'cancer', cancer);
    const version = toLoadable(await docOf('cancer'));
    const versions = service.service.app.get(VersionsRepository);
    await versions.markQuarantined('cancer/1', { code: 'artifact_corrupt', message: 'damaged' });
    const before = await docOf('cancer');

    expect(await formsOf(service).renew(version, version.engines, aForm('x'))).toBe(false);

    expect(await docOf('cancer')).toEqual(before);
    expect(await formBlobs()).toEqual([formOf(before)]);
    const owners = await database.db
      .collection<{ files_id: ObjectId }>('artifacts.chunks')
      .distinct('files_id');
    expect(owners).toHaveLength(await database.db.collection('artifacts.files').countDocuments());
  });
});
