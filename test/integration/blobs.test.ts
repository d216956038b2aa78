import { randomBytes } from 'node:crypto';

import { type Binary, type ObjectId } from 'mongodb';

import { type ArtifactFile, blobsOf, storedBytesOf } from '../../src/artifacts/artifact';
import { ArtifactStore } from '../../src/artifacts/artifact.store';
import { BlobRemover } from '../../src/artifacts/blob-remover';
import { blobIdAt, mintUploadId } from '../../src/artifacts/blob.store';
import { declareBlobs } from '../../src/artifacts/bucket-schema';
import { PooledCodec } from '../../src/artifacts/codec/pooled.codec';
import { findClaimed } from '../../src/artifacts/use-blobs';
import { readWeightGroups } from '../../src/formats/weight-groups';
import { BlobReferences } from '../../src/models/blob-references';
import { UploadIntentsRepository } from '../../src/models/upload-intents.repository';
import { UploadLease } from '../../src/models/upload-lease';
import { UploadReaper } from '../../src/models/upload-reaper.service';
import { VersionsRepository } from '../../src/models/versions.repository';
import { Schema } from '../../src/mongo/schema';
import { bootService, type BootedService } from '../support/boot';
import { type FreshDatabase, freshDatabase } from '../support/database';
import { readArtifact } from '../support/loadable';
import { deleteOnceUnread, type Files, fixtureFiles, sendJson, upload } from '../support/uploads';

type Content = ReadonlyMap<string, Uint8Array>;

describe('stored content', () => {
  const codec = new PooledCodec(2);
  let database: FreshDatabase;
  let store: ArtifactStore;
  let intents: UploadIntentsRepository;
  let remover: BlobRemover;

  beforeAll(async () => {
    database = freshDatabase();
    const schema = new Schema();
    declareBlobs(schema);
    intents = new UploadIntentsRepository(database.db, schema);
    const versions = new VersionsRepository(database.db, schema);
    await schema.apply(database.db);
    store = new ArtifactStore(database.db, codec);
    remover = new BlobRemover(store.blobs, new BlobReferences(intents, versions));
  });

  afterAll(async () => {
    await codec.close();
    await database.close();
  });

  /** Writes files as an upload does; `added` are the stored bytes that were not there before. */
  async function put(
    content: Content,
    base: readonly ArtifactFile[] = [],
  ): Promise<{ readonly files: readonly ArtifactFile[]; readonly added: number }> {
    const lease = new UploadLease(intents, 'stored');
    const writer = store.writer({ claims: lease, base: () => Promise.resolve(base) });
    for (const [path, bytes] of content) {
      await writer.write(path, one(bytes));
      writer.plan(readWeightGroups(path, bytes));
    }
    const written = [...(await writer.finish())].map(([path, ref]) => ({
      path,
      contentType: 'application/octet-stream',
      ref,
    }));
    const before = await bytesStored();
    const files = await store.seal(written, lease, (path) => path);
    await lease.release();
    return { files, added: (await bytesStored()) - before };
  }

  async function bytesStored(): Promise<number> {
    const [sum] = await database.db
      .collection('artifacts.files')
      .aggregate<{ bytes: number }>([{ $group: { _id: null, bytes: { $sum: '$length' } } }])
      .toArray();
    return sum?.bytes ?? 0;
  }

  const rawBytes = (content: Content): number =>
    [...content.values()].reduce((sum, { length }) => sum + length, 0);

  it.each([
    'tfjs/digits-cnn-v1.k3h5.fixed',
    'tfjs/digits-cnn-v1.k3h5-split.fixed',
    'tfjs/digits-cnn-v1.graph-sharded',
    'tfjs/digits-cnn-v1.graph-float16',
    'tfjs/digits-cnn-v1.graph-uint8',
    'tfjs/zoo-text.k3h5.fixed',
    'tfjs/zoo-mha.graph',
    'hm-age',
    'hm-gear',
    'hm-selfie',
    'nsfw-mobilenet-v2',
    'nsfw-mobilenet-v2-mid',
    'nsfw-inception-v3',
    'trained/digits-cnn-v1',
    'onnx',
  ])('of %s comes back byte for byte', async (name) => {
    const content = readArtifact(name);

    const { files } = await put(content);

    for (const { path, ref } of files) {
      const read = Buffer.from(await store.read(ref));
      expect([path, read.equals(content.get(path) ?? Buffer.alloc(0))]).toEqual([path, true]);
    }
    expect(files).toHaveLength(content.size);
  });

  it('of a trained version adds little beside the version before', async () => {
    const v1 = readArtifact('tfjs/big-mlp-v1');
    const v2 = readArtifact('tfjs/big-mlp-v2');

    const first = await put(v1);
    const second = await put(v2, first.files);
    const again = await put(v2, first.files);
    const head = await put(withLastLayerChanged(v2), second.files);

    expect(rawBytes(v1) / first.added).toBeGreaterThan(1.21);
    expect(rawBytes(v2) / second.added).toBeGreaterThan(1.9);
    expect(again.added).toBe(0);
    expect(rawBytes(v2) / head.added).toBeGreaterThan(500);
    for (const { path, ref } of second.files) {
      expect(Buffer.from(await store.read(ref)).equals(v2.get(path) ?? Buffer.alloc(0))).toBe(true);
    }
  });

  it('that two uploads write at the same time is one blob in the end', async () => {
    const content = new Map([['a.bin', randomBytes(9_000_000)]]);

    const both = await Promise.all([put(content), put(content), put(content)]);

    const ids = both.map(({ files }) => blobsOf(files).map((id) => id.toHexString()));
    expect(ids[1]).toEqual(ids[0]);
    expect(ids[2]).toEqual(ids[0]);
    const chunks = database.db.collection('artifacts.chunks');
    const digests = both[0].files[0]?.ref.segments.map(({ sha256 }) => sha256);
    const found = await database.db
      .collection('artifacts.files')
      .find({ 'metadata.sha256': { $in: digests ?? [] } })
      .toArray();
    expect(found).toHaveLength(3);
    // The chunks of the losers are gone.
    const owners = await chunks.distinct('files_id');
    expect(owners).toHaveLength(await database.db.collection('artifacts.files').countDocuments());
  });

  it('is never lost to who relies on it, whatever is freed meanwhile', async () => {
    const pause = async (): Promise<void> => {
      const until = performance.now() + Math.random() * 4;
      while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
    };
    let relied = 0;
    let freed = 0;
    for (let round = 0; round < 150; round++) {
      const { files } = await put(new Map([['x', randomBytes(2000)]]));
      const [blob] = blobsOf(files);
      const lease = new UploadLease(intents, 'second');
      const docs = await store.blobs.findByIds([blob!]);

      const [usable] = await Promise.all([
        pause().then(async () => await findClaimed(store.blobs, lease, docs)),
        pause().then(async () => await remover.free([blob!])),
        pause().then(async () => await remover.free([blob!])),
      ]);

      const left = await store.blobs.findByIds([blob!]);
      if (usable.size > 0) {
        relied++;
        expect(left).toHaveLength(1);
        await store.verifySegments([...usable.values()]);
      }
      if (left.length === 0) freed++;
      // Whoever was spared can be found again.
      else expect(left[0]).not.toHaveProperty('metadata.doomedAt');
      await lease.end();
      await remover.freeUpload(lease.uploadId, lease.uses);
      await lease.release();
      expect(await store.blobs.findByIds([blob!])).toEqual([]);
    }
    // Both ways it can go have happened.
    expect([relied > 0, freed > 0]).toEqual([true, true]);
  });

  it('that an upload is writing is not taken for abandoned', async () => {
    const lease = new UploadLease(intents, 'writing');
    await lease.open();
    const blob = blobIdAt(lease.uploadId, 1);
    await store.blobs.writeChunks([{ blob, encoded: randomBytes(100) }]);
    // Until a majority has them, reads do not see the chunks.
    await lease.assertHeld();

    await remover.free([blob]);
    expect(await store.blobs.listChunkOwners(1, lease.uploadId)).toEqual([blob]);

    await lease.end();
    await remover.free([blob]);
    expect(
      await database.db.collection('artifacts.chunks').countDocuments({ files_id: blob }),
    ).toBe(0);
    await lease.release();
  });

  it('keeps the base of a difference until the difference is gone', async () => {
    const before = randomBytes(300_000);
    const after = Buffer.from(before);
    after.writeUInt8(after.readUInt8(7) ^ 1, 7);
    const first = await put(new Map([['w.bin', before]]));
    const second = await put(new Map([['w.bin', after]]), first.files);
    const [difference] = second.files[0]!.ref.segments;
    const base = difference!.base!.blob;

    await remover.free([base]);
    expect(await store.blobs.findByIds([base])).toHaveLength(1);

    const freed = await remover.free([base, difference!.blob]);
    expect(freed).toEqual({
      blobs: 2,
      storedBytes: storedBytesOf([difference!, difference!.base!]),
    });
  });
});

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** As another round of training of the last layer alone would leave a model. */
function withLastLayerChanged(content: Content): Content {
  const json = JSON.parse(Buffer.from(content.get('model.json')!).toString()) as {
    weightsManifest: { paths: string[]; weights: { shape: number[] }[] }[];
  };
  const [group] = json.weightsManifest;
  const tail = group!.weights.slice(-2);
  const bytes = tail.reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  const path = group!.paths.at(-1)!;
  const shard = Buffer.from(content.get(path)!);
  randomBytes(bytes).copy(shard, shard.length - bytes);
  return new Map([...content, [path, shard]]);
}

describe('versions', () => {
  let service: BootedService;
  const v1 = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
  const v2 = fixtureFiles('tfjs/digits-cnn-v2.k3h5.fixed');

  beforeAll(async () => {
    service = await bootService({ GRIDSTOW_DELETE_GRACE_MS: '0' });
  });

  afterAll(async () => {
    await service.close();
  });

  const docs = async (filter: object = {}): Promise<any[]> =>
    await service.db.collection('versions').find(filter).sort({ version: 1 }).toArray();
  const notes = (text = randomBytes(3000).toString('hex')): Files => ({ 'notes.txt': text });

  /** Compares the collections with what the versions say of themselves. */
  async function expectExact(): Promise<void> {
    const { db } = service;
    const versions = await docs({ state: { $in: ['ready', 'quarantined'] } });
    const named = new Map<string, number>();
    for (const { files, storedBytes, blobs, compiled } of versions) {
      const segments = files.flatMap(({ ref }: ArtifactFile) => ref.segments);
      expect(storedBytes).toBe(storedBytesOf(segments));
      // The compiled form is needed as the files are, and counted apart.
      const needed = compiled ? [...files, compiled] : files;
      expect(blobs.map(String).sort()).toEqual(blobsOf(needed).map(String).sort());
      for (const { blob, storedBytes: bytes, base } of [
        ...segments,
        ...(compiled?.ref.segments ?? []),
      ]) {
        named.set(String(blob), bytes);
        if (base) named.set(String(base.blob), base.storedBytes);
      }
    }
    const files = await db.collection('artifacts.files').find().toArray();
    const chunks = await db.collection('artifacts.chunks').find().toArray();
    const sizes = (pairs: [unknown, number][]) =>
      pairs.map(([id, bytes]) => `${String(id)} ${bytes}`).sort();
    expect(sizes(files.map(({ _id, length }) => [_id, length as number]))).toEqual(
      sizes([...named]),
    );
    const held = new Map<string, number>();
    for (const { files_id, data } of chunks) {
      const id = String(files_id);
      held.set(id, (held.get(id) ?? 0) + (data as Binary).length());
    }
    expect(sizes([...held])).toEqual(sizes([...named]));
    expect(await db.collection('uploadIntents').countDocuments()).toBe(0);
  }

  const remove = async (path: string): Promise<number> =>
    await deleteOnceUnread(`${service.url}/api/models/${path}`);

  it('say exactly what they take up and what they added', async () => {
    await upload(service.url, 'exact', v1);
    const { body } = await upload(service.url, 'exact', { ...v1, ...notes() });
    const [first, second] = await docs({ model: 'exact' });

    expect(first.addedBytes).toBe(first.storedBytes);
    const own = second.files.find(({ path }: ArtifactFile) => path === 'notes.txt');
    expect(second.addedBytes).toBe(own.ref.storedBytes);
    expect(body).toMatchObject({
      storedBytes: second.storedBytes,
      addedBytes: second.addedBytes,
    });
    await expectExact();
  });

  it('are previewed with the numbers that they get, and nothing stays of it', async () => {
    const files = { ...v2, ...notes() };

    const preview = await upload(service.url, 'exact', files, { query: '?dryRun=true' });
    await expectExact();
    const { body } = await upload(service.url, 'exact', files);

    const { rawBytes, storedBytes, addedBytes, digest } = body;
    expect(preview.body).toMatchObject({ rawBytes, storedBytes, addedBytes, digest });
    await expectExact();
  });

  it('when deleted free exactly what no other needs, whoever stored it', async () => {
    await upload(service.url, 'one', { ...v1, ...notes() });
    await upload(service.url, 'one', { ...v2, ...notes() });
    await upload(service.url, 'two', { ...v2, ...notes() });

    expect(await remove('one/versions/2')).toBe(204);
    await expectExact();
    // The version that stored the base of the others goes; the base stays.
    await sendJson('DELETE', `${service.url}/api/models/one/aliases/live`);
    expect(await remove('one')).toBe(204);
    await expectExact();

    const [{ files }] = await docs({ model: 'two' });
    for (const { path } of files) {
      const answer = await fetch(`${service.url}/api/models/two/versions/1/files/${path}`);
      expect(answer.status).toBe(200);
      if (path in v2) expect(Buffer.from(await answer.arrayBuffer()).equals(v2[path]!)).toBe(true);
    }
  });

  it('that share content stay whole when an upload beside them fails', async () => {
    for (let round = 0; round < 5; round++) {
      const files = { ...v1, ...notes() };
      const [failed, whole] = await Promise.all([
        upload(service.url, `fails-${round}`, files, { metadata: { parent: 99 } }),
        upload(service.url, `whole-${round}`, files),
      ]);

      expect([failed.status, whole.status]).toEqual([422, 201]);
      const archive = await fetch(`${service.url}/api/models/whole-${round}/versions/1/archive`);
      expect(archive.status).toBe(200);
      expect((await archive.arrayBuffer()).byteLength).toBeGreaterThan(whole.body.rawBytes);
      await expectExact();
    }
  });

  it('are stored whole while a version with the same content is deleted', async () => {
    for (let round = 0; round < 8; round++) {
      const shared = notes();
      await upload(service.url, `old-${round}`, v1);
      await upload(service.url, `old-${round}`, { ...v1, ...shared });

      const [status, fresh] = await Promise.all([
        new Promise((resolve) => setTimeout(resolve, round * 6)).then(
          async () => await remove(`old-${round}/versions/2`),
        ),
        upload(service.url, `new-${round}`, { ...v1, ...shared }),
      ]);

      expect([status, fresh.status]).toEqual([204, 201]);
      const file = `${service.url}/api/models/new-${round}/versions/1/files/notes.txt`;
      expect(await (await fetch(file)).text()).toBe(shared['notes.txt']);
      await expectExact();
    }
  });

  it('go on when the upload of the same content that they waited for comes to nothing (5)', async () => {
    const files = { ...v1, ...notes() };
    const preview = await upload(service.url, 'twin', files, { query: '?dryRun=true' });
    const dead = mintUploadId();
    const { db } = service;
    await db.collection<{ _id: ObjectId }>('uploadIntents').insertOne({
      _id: dead,
      ...{ model: 'twin', uses: [], leaseUntil: new Date('2020-01-01') },
    });
    const [sample] = await docs({ model: 'exact' });
    await db.collection<{ _id: string }>('models').insertOne({
      ...(await db.collection<{ _id: string }>('models').findOne({ _id: 'exact' })),
      ...{ _id: 'twin', lastVersion: 1, firstVersion: 1 },
    });
    await db.collection<{ _id: string }>('versions').insertOne({
      ...sample,
      ...{ _id: 'twin/1', model: 'twin', version: 1, state: 'verifying', pins: [] },
      ...{ uploadId: dead.toHexString(), files: [], blobs: [] },
      ...{ digest: preview.body.digest, digestClaim: preview.body.digest },
    });

    const uploading = upload(service.url, 'twin', files);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await service.service.app.get(UploadReaper).reap();
    const { status, body } = await uploading;

    expect([status, body.version, body.state]).toEqual([201, 2, 'ready']);
    const [first] = await docs({ model: 'twin' });
    expect(first).toMatchObject({ state: 'failed', failure: { code: 'upload_interrupted' } });
    await expectExact();
  });
});
