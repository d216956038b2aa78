import { ObjectId } from 'mongodb';

import { blobIdAt, mintUploadId } from '../../src/artifacts/blob.store';
import { UploadReaper } from '../../src/models/upload-reaper.service';
import { bootService, type BootedService } from '../support/boot';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;
let reaper: UploadReaper;
const files = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
const get = async (path: string) => await sendJson('GET', `${service.url}/api/models${path}`);

beforeEach(async () => {
  service = await bootService();
  reaper = service.service.app.get(UploadReaper);
});

afterEach(async () => {
  await service.close();
});

const LONG_AGO = new Date('2020-01-01');

/** Leaves the store as a process does that died at some point of an upload. */
async function interruptedUpload(state: string | null, leaseUntil = LONG_AGO): Promise<ObjectId> {
  const { db } = service;
  const uploadId = mintUploadId();
  await db
    .collection('uploadIntents')
    .insertOne({ _id: uploadId, model: 'digits', leaseUntil, uses: [] });
  const blob = blobIdAt(uploadId, 7);
  await db.collection('artifacts.chunks').insertOne({ files_id: blob, n: 0, data: 'x' });
  if (state !== null) {
    const doc = await db.collection('versions').findOne({ model: 'digits', version: 1 });
    await db.collection<{ _id: string; [field: string]: unknown }>('versions').insertOne({
      ...doc,
      _id: 'digits/2',
      version: 2,
      state,
      uploadId: uploadId.toHexString(),
      digest: 'sha256:other',
      digestClaim: 'sha256:other',
      pins: [],
      files: [],
      blobs: [blob],
    });
  }
  return blob;
}

async function chunksOf(blob: ObjectId): Promise<number> {
  return await service.db.collection('artifacts.chunks').countDocuments({ files_id: blob });
}

describe('UploadReaper', () => {
  it('removes the bytes of an upload that never got a number (2, 3)', async () => {
    const fileId = await interruptedUpload(null);

    expect(await reaper.reap()).toBe(1);

    expect(await chunksOf(fileId)).toBe(0);
    expect(await service.db.collection('uploadIntents').countDocuments()).toBe(0);
  });

  it.each(['pending', 'verifying'])('fails a version that was left %s (4, 5)', async (state) => {
    await upload(service.url, 'digits', files);
    const fileId = await interruptedUpload(state);

    await reaper.reap();

    expect(await chunksOf(fileId)).toBe(0);
    expect((await get('/digits/versions/2')).body).toMatchObject({
      state: 'failed',
      failure: { code: 'upload_interrupted' },
    });
    // Its content can be uploaded again.
    const doc = await service.db.collection('versions').findOne({ version: 2 });
    expect(doc).not.toHaveProperty('digestClaim');
  });

  it('leaves alone what still has a lease (27)', async () => {
    const fileId = await interruptedUpload(null, new Date(Date.now() + 60_000));

    expect(await reaper.reap()).toBe(0);
    expect(await chunksOf(fileId)).toBe(1);

    // Unless nobody else can be writing: at the start on an embedded database.
    expect(await reaper.reap({ soleOwner: true })).toBe(1);
    expect(await chunksOf(fileId)).toBe(0);
  });

  it('keeps the bytes of a version that became ready, and gives it the alias it was due (6)', async () => {
    const { body } = await upload(service.url, 'digits', files);
    const { db } = service;
    const doc = await db.collection('versions').findOne({ version: 1 });
    await db.collection('aliasMoves').deleteMany({});
    await db.collection<{ _id: ObjectId }>('uploadIntents').insertOne({
      _id: ObjectId.createFromHexString(doc?.['uploadId']),
      ...{ model: 'digits', leaseUntil: LONG_AGO, uses: [] },
    });

    await reaper.reap();

    expect(await db.collection('uploadIntents').countDocuments()).toBe(0);
    expect((await get('/digits/aliases/live')).body).toMatchObject({ version: 1 });
    const path = body.files[0].path as string;
    const file = await fetch(`${service.url}/api/models/digits/versions/1/files/${path}`);
    expect(Buffer.from(await file.arrayBuffer()).equals(files[path] ?? Buffer.alloc(0))).toBe(true);
  });

  it('goes on with a deletion that was cut off between documents and chunks (26)', async () => {
    await upload(service.url, 'digits', files);
    const { db } = service;
    const doc = await db.collection('versions').findOne({ version: 1 });
    const ids = doc?.['blobs'];
    await db
      .collection('versions')
      .updateOne({ version: 1 }, { $set: { state: 'deleting', pins: [] } });
    await db.collection('artifacts.files').deleteMany({ _id: { $in: ids } });
    // The version may still be on its way into memory.
    await db.collection('versionLeases').deleteMany({});

    expect(await reaper.reap()).toBe(1);

    const left = await db.collection('artifacts.chunks').countDocuments({ files_id: { $in: ids } });
    expect(left).toBe(0);
    expect((await db.collection('versions').findOne({ version: 1 }))?.['state']).toBe('deleted');
  });
});
