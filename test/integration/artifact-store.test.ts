import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';

import fc from 'fast-check';
import { Binary, GridFSBucket, ObjectId } from 'mongodb';

import { type ArtifactFile, type ArtifactRef, SEGMENT_BYTES } from '../../src/artifacts/artifact';
import { ArtifactStore } from '../../src/artifacts/artifact.store';
import { uploadOf } from '../../src/artifacts/blob.store';
import { declareBlobs } from '../../src/artifacts/bucket-schema';
import { InlineCodec } from '../../src/artifacts/codec/inline.codec';
import { PooledCodec } from '../../src/artifacts/codec/pooled.codec';
import { type WeightGroup } from '../../src/artifacts/cut-plan';
import { UploadIntentsRepository } from '../../src/models/upload-intents.repository';
import { UploadLease } from '../../src/models/upload-lease';
import { Schema } from '../../src/mongo/schema';
import { freshDatabase, type FreshDatabase } from '../support/database';

let database: FreshDatabase;
let store: ArtifactStore;
let intents: UploadIntentsRepository;
const codec = new PooledCodec(2);

beforeAll(async () => {
  database = freshDatabase();
  const schema = new Schema();
  declareBlobs(schema);
  intents = new UploadIntentsRepository(database.db, schema);
  await schema.apply(database.db);
  store = new ArtifactStore(database.db, codec);
});

afterAll(async () => {
  await codec.close();
  await database.close();
});

const chunks = () => database.db.collection('artifacts.chunks');
const blobDocs = () => database.db.collection('artifacts.files');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function* inPieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    yield await Promise.resolve(bytes.subarray(at, at + size));
  }
}

/** Float weights that no other test has: they compress a little. */
function weights(bytes: number, seed = Math.random()): Buffer {
  const floats = Float32Array.from({ length: Math.ceil(bytes / 4) }, (_, i) => Math.sin(i + seed));
  return Buffer.from(floats.buffer).subarray(0, bytes);
}

interface Upload {
  readonly files: readonly ArtifactFile[];
  readonly lease: UploadLease;
}

type Step = readonly [path: string, bytes: Uint8Array] | readonly WeightGroup[];

const isFile = (step: Step): step is readonly [string, Uint8Array] => typeof step[0] === 'string';

/** Writes files, and tells of groups of weights, in the order given. */
async function write(steps: readonly Step[], base: readonly ArtifactFile[] = []): Promise<Upload> {
  const lease = new UploadLease(intents, 'tested');
  const writer = store.writer({ claims: lease, base: () => Promise.resolve(base) });
  for (const step of steps) {
    if (isFile(step)) await writer.write(step[0], inPieces(step[1]));
    else writer.plan(step);
  }
  const files = [...(await writer.finish())].map(([path, ref]) => ({
    path,
    contentType: 'application/octet-stream',
    ref,
  }));
  lease.stop();
  return { files, lease };
}

async function publish(
  steps: readonly Step[],
  base: readonly ArtifactFile[] = [],
): Promise<readonly ArtifactFile[]> {
  const { files, lease } = await write(steps, base);
  const sealed = await store.seal(files, lease, (path) => `digits/3/${path}`);
  await lease.release();
  return sealed;
}

async function put(bytes: Uint8Array): Promise<ArtifactRef> {
  const [file] = await publish([['weights.bin', bytes]]);
  return file!.ref;
}

function group(paths: readonly string[], sizes: Readonly<Record<string, number>>): WeightGroup[] {
  const tensors = Object.entries(sizes).map(([name, bytes]) => ({
    name,
    bytes,
    dtype: 'float32' as const,
  }));
  return [{ paths, tensors }];
}

const lengths = ({ segments }: ArtifactRef): number[] => segments.map(({ rawBytes }) => rawBytes);
const ids = ({ segments }: ArtifactRef): string[] => segments.map(({ blob }) => blob.toHexString());
const MiB = 1024 * 1024;

/** Ids, in order, under which an upload has chunks. */
async function ownersOf({ uploadId }: UploadLease): Promise<string[]> {
  const owners = await store.blobs.listChunkOwners(1000, uploadId);
  return owners.filter((id) => uploadOf(id).equals(uploadId)).map((id) => id.toHexString());
}

describe('ArtifactStore', () => {
  describe('write and read', () => {
    const around = (size: number): number[] => [size - 1, size, size + 1];
    const sizes = [0, 1, ...around(SEGMENT_BYTES), ...around(3 * SEGMENT_BYTES)];

    it.each(sizes)('gives back %d bytes as they were (36, 37)', async (size) => {
      const bytes = randomBytes(size);

      const ref = await put(bytes);

      expect(ref).toMatchObject({ rawBytes: size, sha256: sha256(bytes) });
      expect(sha256(new Uint8Array(await store.read(ref)))).toBe(sha256(bytes));
      expect((await buffer(store.open(ref))).equals(bytes)).toBe(true);
      expect(lengths(ref)).toHaveLength(Math.ceil(size / SEGMENT_BYTES));
    });

    it('gives any range without its surroundings', async () => {
      const bytes = weights(2 * SEGMENT_BYTES + 12_345);
      const ref = await put(bytes);

      await fc.assert(
        fc.asyncProperty(fc.nat(bytes.length), fc.nat(bytes.length), async (a, b) => {
          const [start, end] = [Math.min(a, b), Math.max(a, b)];
          const range = await buffer(store.open(ref, { start, end }));
          return range.equals(bytes.subarray(start, end));
        }),
        { numRuns: 15 },
      );
    });

    it('decodes on the calling thread what threads encoded', async () => {
      const bytes = weights(MiB);
      const ref = await put(bytes);

      const read = await new ArtifactStore(database.db, new InlineCodec()).read(ref);

      expect(sha256(new Uint8Array(read))).toBe(sha256(bytes));
    });

    it('stores files that any GridFS client finds by name and reads whole', async () => {
      const bytes = weights(SEGMENT_BYTES + 100);
      const [file] = await publish([['far/model.bin', bytes]]);

      const bucket = new GridFSBucket(database.db, { bucketName: 'artifacts' });
      const name = `digits/3/far/model.bin@${SEGMENT_BYTES}`;
      const read = await buffer(bucket.openDownloadStreamByName(name));

      const last = file!.ref.segments[1]!;
      expect(read).toHaveLength(last.storedBytes);
      const found = await bucket.find({ _id: last.blob }).next();
      expect(found).toMatchObject({
        length: last.storedBytes,
        metadata: { sha256: last.sha256, rawBytes: 100, codec: 'gridstow-blocks-1', base: null },
      });
    });

    it('says exactly what it takes up', async () => {
      const { storedBytes, segments } = await put(weights(3 * MiB));

      const stored = await chunks()
        .find({ files_id: { $in: segments.map(({ blob }) => blob) } })
        .toArray();

      const bytes = stored.reduce((sum, { data }) => sum + (data as Binary).length(), 0);
      expect(bytes).toBe(storedBytes);
    });

    it('passes on the failure of its source and leaves nothing under way (35)', async () => {
      const lease = new UploadLease(intents, 'tested');
      const writer = store.writer({ claims: lease, base: () => Promise.resolve([]) });
      const broken = async function* (): AsyncGenerator<Uint8Array> {
        yield* inPieces(randomBytes(40 * MiB));
        throw new RangeError('the client went away');
      };

      await expect(writer.write('w.bin', broken())).rejects.toThrow('the client went away');
      await writer.settle();
      await store.blobs.removeChunksOfUpload(lease.uploadId, []);

      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await ownersOf(lease)).toEqual([]);
      await lease.release();
    });
  });

  describe('segments', () => {
    const sizes = { 'a/kernel': 200_000, 'a/bias': 400, 'b/gamma': 64, 'b/kernel': 5 * MiB };
    const total = 200_000 + 464 + 5 * MiB;

    it('follow the tensors: small ones packed, large ones cut from their start', async () => {
      const [file] = await publish([group(['w.bin'], sizes), ['w.bin', weights(total)]]);

      expect(lengths(file!.ref)).toEqual([200_000, 464, 4 * MiB, MiB]);
      expect(file!.ref.segments.map(({ key }) => key)).toEqual([
        'a/kernel@0:float32',
        'a/bias+1',
        'b/kernel@0:float32',
        `b/kernel@${4 * MiB}:float32`,
      ]);
    });

    it('are the same whether weights come before or after their manifest, in any order', async () => {
      const bytes = weights(total);
      const cut = 3 * MiB;
      const [one, two] = [bytes.subarray(0, cut), bytes.subarray(cut)];
      const plan = group(['1.bin', '2.bin'], sizes);
      const orders: Step[][] = [
        [plan, ['1.bin', one], ['2.bin', two]],
        [['1.bin', one], ['2.bin', two], plan],
        [['2.bin', two], plan, ['1.bin', one]],
        [plan, ['2.bin', two], ['1.bin', one]],
      ];

      const written = [];
      for (const order of orders) {
        const files = await publish(order);
        written.push(
          ['1.bin', '2.bin'].flatMap((path) => ids(files.find((file) => file.path === path)!.ref)),
        );
      }

      expect(written[0]).toHaveLength(5);
      for (const other of written) expect(other).toEqual(written[0]);
    });

    it('of more weights than are held back are cut anew once the manifest is there', async () => {
      const bytes = randomBytes(40 * MiB);
      const plan = group(['w.bin'], { first: 1_000_000, second: 40 * MiB - 1_000_000 });
      const { files, lease } = await write([['w.bin', bytes], plan]);
      const sealed = await store.seal(files, lease, (path) => path);

      const { ref } = sealed[0]!;
      expect(lengths(ref).slice(0, 2)).toEqual([1_000_000, SEGMENT_BYTES]);
      expect(sha256(new Uint8Array(await store.read(ref)))).toBe(sha256(bytes));
      // What was written before is gone again.
      expect(await ownersOf(lease)).toEqual(ids(ref).sort());
      await lease.release();
    });

    it('that are equal are one blob, within an upload and across uploads', async () => {
      const tensor = weights(100_000);
      const twice = Buffer.concat([tensor, weights(300_000), tensor]);
      const plan = group(['w.bin'], { a: 100_000, b: 300_000, c: 100_000 });

      const [first] = await publish([plan, ['w.bin', twice]]);
      const before = await chunks().countDocuments();
      const [second] = await publish([plan, ['w.bin', twice]]);

      expect(first!.ref.segments[0]!.blob).toEqual(first!.ref.segments[2]!.blob);
      expect(ids(second!.ref)).toEqual(ids(first!.ref));
      expect(await chunks().countDocuments()).toBe(before);
    });

    it('of a changed tensor are stored as the difference to the version before', async () => {
      const before = weights(2 * MiB);
      const after = Buffer.from(before);
      for (let at = 0; at < after.length; at += 40_000) after.writeUInt8(1, at);
      const plan = group(['w.bin'], { kernel: 2 * MiB });
      const base = await publish([plan, ['w.bin', before]]);

      const files = await publish([plan, ['w.bin', after]], base);
      const { ref } = files[0]!;

      expect(ref.segments[0]!.base?.blob).toEqual(base[0]!.ref.segments[0]!.blob);
      expect(ref.storedBytes).toBeLessThan(base[0]!.ref.storedBytes / 10);
      expect(sha256(new Uint8Array(await store.read(ref)))).toBe(sha256(after));
      expect(
        (await buffer(store.open(ref, { start: 5, end: 99 }))).equals(after.subarray(5, 99)),
      ).toBe(true);
    });

    it('that differ from a difference go back to the same base', async () => {
      const plan = group(['w.bin'], { kernel: MiB });
      const bytes = weights(MiB);
      let files: readonly ArtifactFile[] = [];
      const bases = [];
      for (let version = 0; version < 3; version++) {
        bytes.writeUInt32LE(version, 1000 * version);
        files = await publish([plan, ['w.bin', bytes]], files);
        bases.push(files[0]!.ref.segments[0]!.base?.blob.toHexString());
      }

      expect(bases[1]).toBeDefined();
      expect(bases).toEqual([undefined, bases[1], bases[1]]);
      expect(sha256(new Uint8Array(await store.read(files[0]!.ref)))).toBe(sha256(bytes));
    });
  });

  describe('damage', () => {
    let bytes: Buffer;
    let ref: ArtifactRef;

    beforeEach(async () => {
      bytes = randomBytes(2 * SEGMENT_BYTES + 100);
      ref = await put(bytes);
    });

    async function expectCorrupt(damaged: ArtifactRef = ref): Promise<void> {
      await expect(store.read(damaged)).rejects.toMatchObject({ code: 'artifact_corrupt' });
      await expect(store.verify(damaged)).rejects.toMatchObject({ code: 'artifact_corrupt' });
      await expect(buffer(store.open(damaged))).rejects.toMatchObject({ code: 'artifact_corrupt' });
    }

    const blobAt = (index: number, of = ref): ObjectId => of.segments[index]!.blob;

    async function rewrite(id: ObjectId, change: (data: Buffer) => Uint8Array): Promise<void> {
      const chunk = await chunks().findOne({ files_id: id });
      const data = new Binary(change(Buffer.from((chunk?.['data'] as Binary).buffer)));
      await chunks().updateOne({ files_id: id }, { $set: { data } });
    }

    const flip = (data: Buffer): Buffer => {
      data.writeUInt8(data.readUInt8(5000) ^ 1, 5000);
      return data;
    };

    it('refuses a file whose last chunk is gone (17)', async () => {
      await chunks().deleteOne({ files_id: blobAt(2) });

      await expectCorrupt();
    });

    it('refuses a file whose middle chunk is gone (18)', async () => {
      await chunks().deleteOne({ files_id: blobAt(1) });

      await expectCorrupt();
    });

    it('refuses a file with a chunk that stands twice (16)', async () => {
      const copy = await chunks().findOne({ files_id: blobAt(0) });
      await chunks().insertOne({ ...copy, _id: new ObjectId(), n: 9 });

      await expectCorrupt();
    });

    it('refuses a file with a flipped bit, also when it is compressed (19)', async () => {
      for (const target of [ref, await put(weights(MiB))]) {
        await rewrite(blobAt(0, target), flip);

        await expectCorrupt(target);
      }
    });

    it('refuses a difference whose base was altered (19)', async () => {
      const plan = group(['w.bin'], { kernel: MiB });
      const before = randomBytes(MiB);
      const base = await publish([plan, ['w.bin', before]]);
      const after = Buffer.from(before);
      after.writeUInt8(after.readUInt8(9) ^ 1, 9);
      const [file] = await publish([plan, ['w.bin', after]], base);
      expect(file!.ref.segments[0]!.base).toBeDefined();

      await rewrite(blobAt(0, base[0]!.ref), flip);

      await expectCorrupt(file!.ref);
      expect(await store.retireDamaged([file!])).toContainEqual(blobAt(0, base[0]!.ref));
    });

    it('refuses a range that touches a damaged segment, and gives the others (19)', async () => {
      await rewrite(blobAt(0), flip);

      await expect(buffer(store.open(ref, { start: 10, end: 20 }))).rejects.toMatchObject({
        code: 'artifact_corrupt',
      });
      const range = { start: SEGMENT_BYTES, end: SEGMENT_BYTES + 50 };
      const read = await buffer(store.open(ref, range));
      expect(read.equals(bytes.subarray(range.start, range.end))).toBe(true);
    });

    it.each([
      ['shortened', (data: Buffer) => data.subarray(1)],
      ['lengthened', (data: Buffer) => Buffer.concat([data, Buffer.from([0])])],
      ['emptied', () => Buffer.alloc(0)],
    ])('refuses a file with a chunk that was %s (20)', async (_how, change) => {
      await rewrite(blobAt(1), change);

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
      await blobDocs().updateOne({ _id: blobAt(0) }, { $set: { [field]: value } });

      expect(sha256(new Uint8Array(await store.read(ref)))).toBe(sha256(bytes));
    });

    it.each([
      ['rawBytes', 2 ** 50],
      ['rawBytes', -1],
      ['storedBytes', 1],
      ['segments', []],
    ])(
      'refuses a reference whose %s was set to %p, allocating nothing (21)',
      async (field, value) => {
        await expectCorrupt({ ...ref, [field]: value });
      },
    );

    it.each([
      ['rawBytes', 2 ** 50],
      ['rawBytes', 0],
      ['storedBytes', -1],
    ])(
      'refuses a segment whose %s was set to %p, allocating nothing (21)',
      async (field, value) => {
        const [first, ...others] = ref.segments;
        const segments = [{ ...first!, [field]: value }, ...others];

        await expectCorrupt({ ...ref, segments });
      },
    );

    it('refuses two files of one size whose chunks were swapped (22)', async () => {
      const other = await put(randomBytes(bytes.length));
      const parked = new ObjectId();
      const move = async (from: ObjectId, to: ObjectId): Promise<void> => {
        await chunks().updateMany({ files_id: from }, { $set: { files_id: to } });
      };
      await move(blobAt(0), parked);
      await move(blobAt(0, other), blobAt(0));
      await move(parked, blobAt(0, other));

      await expectCorrupt(ref);
      await expectCorrupt(other);
    });

    it('stores damaged content anew instead of relying on it', async () => {
      const content = weights(MiB);
      const first = await put(content);
      await chunks().deleteOne({ files_id: blobAt(0, first) });

      const second = await put(content);

      expect(ids(second)).not.toEqual(ids(first));
      expect(sha256(new Uint8Array(await store.read(second)))).toBe(sha256(content));
    });
  });
});
