import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';

import fc from 'fast-check';
import { Binary, GridFSBucket, type ObjectId } from 'mongodb';
import { decompress } from 'zstd-napi';

import { type ArtifactRef } from '../../src/artifacts/artifact';
import { ArtifactStore } from '../../src/artifacts/artifact.store';
import { declareBucket } from '../../src/artifacts/bucket-schema';
import { CHUNK_BYTES } from '../../src/artifacts/chunk.store';
import { BLOCK_BYTES } from '../../src/artifacts/codec/block-codec';
import { InlineCodec } from '../../src/artifacts/codec/inline-codec';
import { PooledCodec } from '../../src/artifacts/codec/pooled-codec';
import { Schema } from '../../src/mongo/schema';
import { freshDatabase, type FreshDatabase } from '../support/database';

let database: FreshDatabase;
let store: ArtifactStore;
const codec = new PooledCodec(2);

beforeAll(async () => {
  database = freshDatabase();
  const schema = new Schema();
  declareBucket(schema, 'artifacts');
  await schema.apply(database.db);
  store = new ArtifactStore(database.db, codec);
});

afterAll(async () => {
  await codec.close();
  await database.close();
});

async function* inPieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    // As a request gives them: each piece owns its memory.
    yield await Promise.resolve(Uint8Array.from(bytes.subarray(at, at + size)));
  }
}

/** Bytes with the redundancy of float weights: zstd saves a little. */
function weightLike(bytes: number): Buffer {
  const floats = Float32Array.from({ length: Math.ceil(bytes / 4) }, (_, i) => Math.sin(i) / 7);
  return Buffer.from(floats.buffer).subarray(0, bytes);
}

async function put(bytes: Uint8Array, name = 'weights.bin'): Promise<ArtifactRef> {
  const ref = await store.write(store.newFileId(), inPieces(bytes));
  await store.seal(ref, name);
  return ref;
}

async function storedBytesOf(fileId: ObjectId): Promise<Buffer> {
  const chunks = await database.db
    .collection('artifacts.chunks')
    .find({ files_id: fileId })
    .sort({ n: 1 })
    .toArray();
  return Buffer.concat(chunks.map(({ data }) => Buffer.from((data as Binary).buffer)));
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('ArtifactStore', () => {
  describe('write and read', () => {
    const around = (size: number): number[] => [size - 1, size, size + 1];
    const sizes = [
      0,
      1,
      ...around(BLOCK_BYTES),
      ...around(CHUNK_BYTES),
      ...around(3 * CHUNK_BYTES),
    ];

    it.each(sizes)('gives back %d bytes as they were (37)', async (size) => {
      const bytes = randomBytes(size);

      const ref = await put(bytes);

      expect(ref).toMatchObject({ rawBytes: size, sha256: sha256(bytes) });
      expect(sha256(new Uint8Array(await store.read(ref)))).toBe(sha256(bytes));
      expect((await buffer(store.open(ref))).equals(bytes)).toBe(true);
      await store.remove([ref]);
    });

    it('gives any range without its surroundings', async () => {
      const bytes = weightLike(3 * BLOCK_BYTES + 12_345);
      const ref = await put(bytes);

      await fc.assert(
        fc.asyncProperty(fc.nat(bytes.length), fc.nat(bytes.length), async (a, b) => {
          const [start, end] = [Math.min(a, b), Math.max(a, b)];
          const range = await buffer(store.open(ref, { start, end }));
          return range.equals(bytes.subarray(start, end));
        }),
        { numRuns: 25 },
      );
    });

    it('compresses what shrinks, and what it stores is plain zstd', async () => {
      const bytes = weightLike(2 * BLOCK_BYTES + 7);

      const ref = await put(bytes);

      expect(ref.codec).toBe('zstd');
      expect(ref.storedBytes).toBeLessThan(ref.rawBytes);
      const stored = await storedBytesOf(ref.fileId);
      expect(sha256(stored)).toBe(ref.storedSha256);
      let at = 0;
      const frames = ref.blockLengths.map((length) => {
        const frame = decompress(stored.subarray(at, at + length));
        at += length;
        return frame;
      });
      expect(Buffer.concat(frames).equals(bytes)).toBe(true);
    });

    it('keeps what does not shrink as it is', async () => {
      const ref = await put(randomBytes(2 * BLOCK_BYTES));

      expect(ref).toMatchObject({ codec: 'raw', storedBytes: 2 * BLOCK_BYTES });
    });

    it('decodes on the calling thread what threads encoded', async () => {
      const bytes = weightLike(2 * BLOCK_BYTES);
      const ref = await put(bytes);

      const read = await new ArtifactStore(database.db, new InlineCodec()).read(ref);

      expect(sha256(new Uint8Array(read))).toBe(sha256(bytes));
    });

    it('writes files that any GridFS client finds by name and reads whole', async () => {
      const ref = await put(weightLike(2 * CHUNK_BYTES), 'digits/3/model.json');

      const bucket = new GridFSBucket(database.db, { bucketName: 'artifacts' });
      const read = await buffer(bucket.openDownloadStreamByName('digits/3/model.json'));

      expect(sha256(read)).toBe(ref.storedSha256);
      const file = await bucket.find({ _id: ref.fileId }).next();
      expect(file?.metadata).toMatchObject({ codec: 'zstd', sha256: ref.sha256 });
    });

    it('measures without storing', async () => {
      const before = await database.db.collection('artifacts.chunks').countDocuments();
      const bytes = weightLike(BLOCK_BYTES);

      const measured = await store.measure(inPieces(bytes));

      expect(measured.storedBytes).toBe((await put(bytes)).storedBytes);
      expect(measured.sha256).toBe(sha256(bytes));
      expect(await database.db.collection('artifacts.chunks').countDocuments()).toBe(
        before + Math.ceil(measured.storedBytes / CHUNK_BYTES),
      );
    });

    it('passes on the failure of its source and leaves nothing under way', async () => {
      const fileId = store.newFileId();
      const broken = async function* (): AsyncGenerator<Uint8Array> {
        yield* inPieces(randomBytes(2 * CHUNK_BYTES));
        throw new RangeError('the client went away');
      };

      await expect(store.write(fileId, broken())).rejects.toThrow('the client went away');
      await store.remove([{ fileId }]);

      const chunks = database.db.collection('artifacts.chunks');
      expect(await chunks.countDocuments({ files_id: fileId })).toBe(0);
    });
  });

  describe('damage', () => {
    const chunks = () => database.db.collection('artifacts.chunks');
    let bytes: Buffer;
    let ref: ArtifactRef;

    beforeEach(async () => {
      bytes = randomBytes(3 * CHUNK_BYTES + 100);
      ref = await put(bytes);
    });

    async function expectCorrupt(damaged: ArtifactRef = ref): Promise<void> {
      await expect(store.read(damaged)).rejects.toMatchObject({ code: 'artifact_corrupt' });
      await expect(store.verify(damaged)).rejects.toMatchObject({ code: 'artifact_corrupt' });
      await expect(buffer(store.open(damaged))).rejects.toMatchObject({ code: 'artifact_corrupt' });
    }

    async function rewrite(n: number, change: (data: Buffer) => Uint8Array): Promise<void> {
      const chunk = await chunks().findOne({ files_id: ref.fileId, n });
      const data = new Binary(change(Buffer.from((chunk?.['data'] as Binary).buffer)));
      await chunks().updateOne({ files_id: ref.fileId, n }, { $set: { data } });
    }

    it('refuses a file whose last chunk is gone (17)', async () => {
      await chunks().deleteOne({ files_id: ref.fileId, n: 3 });

      await expectCorrupt();
    });

    it('refuses a file whose middle chunk is gone (18)', async () => {
      await chunks().deleteOne({ files_id: ref.fileId, n: 1 });

      await expectCorrupt();
    });

    it('refuses a file with a flipped bit, also when it is compressed (19)', async () => {
      const compressed = await put(weightLike(BLOCK_BYTES));
      for (const target of [ref, compressed]) {
        ref = target;
        await rewrite(0, (data) => {
          data.writeUInt8(data.readUInt8(5000) ^ 1, 5000);
          return data;
        });

        await expectCorrupt(target);
      }
    });

    it('refuses a range that touches a damaged block (19)', async () => {
      ref = await put(weightLike(2 * BLOCK_BYTES));
      await rewrite(0, (data) => {
        data.writeUInt8(data.readUInt8(5000) ^ 1, 5000);
        return data;
      });

      await expect(buffer(store.open(ref, { start: 10, end: 20 }))).rejects.toMatchObject({
        code: 'artifact_corrupt',
      });
    });

    it.each([
      ['shortened', (data: Buffer) => data.subarray(1)],
      ['lengthened', (data: Buffer) => Buffer.concat([data, Buffer.from([0])])],
      ['emptied', () => Buffer.alloc(0)],
    ])('refuses a file with a chunk that was %s (20)', async (_how, change) => {
      await rewrite(1, change);

      await expectCorrupt();
    });

    it.each([
      ['length', 0],
      ['length', -5],
      ['length', 2 ** 50],
      ['length', 1.5],
      ['chunkSize', 0],
      ['chunkSize', -1],
      ['chunkSize', 2 ** 40],
    ])('does not go by a files document whose %s was set to %d (21)', async (field, value) => {
      await database.db
        .collection('artifacts.files')
        .updateOne({ _id: ref.fileId }, { $set: { [field]: value } });

      expect(sha256(new Uint8Array(await store.read(ref)))).toBe(sha256(bytes));
    });

    it.each([
      ['rawBytes', 2 ** 50],
      ['rawBytes', -1],
      ['storedBytes', 1],
      ['blockBytes', 1],
      ['blockLengths', []],
    ])(
      'refuses a reference whose %s was set to %p, allocating nothing (21)',
      async (field, value) => {
        await expectCorrupt({ ...ref, [field]: value });
      },
    );

    it('refuses two files of one size whose chunks were swapped (22)', async () => {
      const other = await put(randomBytes(bytes.length));
      const parked = store.newFileId();
      await chunks().updateMany({ files_id: ref.fileId }, { $set: { files_id: parked } });
      await chunks().updateMany({ files_id: other.fileId }, { $set: { files_id: ref.fileId } });
      await chunks().updateMany({ files_id: parked }, { $set: { files_id: other.fileId } });

      await expectCorrupt(ref);
      await expectCorrupt(other);
    });
  });
});
