import { createHash } from 'node:crypto';

import { CodecError, CodecUnavailableError } from '../../../../src/artifacts/codec/codec.errors';
import { InlineCodec } from '../../../../src/artifacts/codec/inline.codec';
import { PooledCodec } from '../../../../src/artifacts/codec/pooled.codec';
import { type SegmentCodec } from '../../../../src/artifacts/codec/segment.codec';
import { randomNumbers } from '../../../support/random-numbers';

function weights(count: number, seed: number): Uint8Array {
  const random = randomNumbers(seed);
  const values = Float32Array.from({ length: count }, () => random() + random() - 1);
  return new Uint8Array(values.buffer);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

describe.each([
  ['InlineCodec', () => new InlineCodec()],
  ['PooledCodec', () => new PooledCodec(2)],
])('%s', (_name, make: () => SegmentCodec) => {
  let codec: SegmentCodec;
  beforeEach(() => {
    codec = make();
  });
  afterEach(async () => {
    await codec.close();
  });

  it.each([0, 10, 5_000, 1_000_000])('gives %p bytes back as they were', async (bytes) => {
    const raw = weights(Math.ceil(bytes / 4), 1).subarray(0, bytes);
    const target = new Uint8Array(bytes);

    await codec.decode(await codec.encode(raw, { dtype: 'float32' }), target);

    expect(Buffer.compare(target, raw)).toBe(0);
    expect(await codec.hash(raw)).toBe(sha256(raw));
  });

  it('leaves what it was given as it was, to be used again', async () => {
    const raw = weights(300_000, 2);
    const base = weights(300_000, 2).fill(7, 0, 1_000);
    const before = [Uint8Array.from(raw), Uint8Array.from(base)];
    const encoded = await codec.encode(raw, { base });
    const encodedBefore = Uint8Array.from(encoded);
    const target = new Uint8Array(raw.length);

    await codec.decode(encoded, target, { base });

    expect(Buffer.compare(target, raw)).toBe(0);
    expect([raw, base].map((bytes, index) => Buffer.compare(bytes, before[index]!))).toEqual([
      0, 0,
    ]);
    expect(Buffer.compare(encoded, encodedBefore)).toBe(0);
  });

  it('takes shared memory as well, and decodes into it', async () => {
    const raw = shared(weights(300_000, 3));
    const base = shared(weights(300_000, 4));
    const target = shared(new Uint8Array(raw.length));

    await codec.decode(shared(await codec.encode(raw, { base })), target, { base });

    expect(Buffer.compare(target, raw)).toBe(0);
    expect(await codec.hash(raw)).toBe(await codec.hash(Uint8Array.from(raw)));
  });

  it('keeps many at once apart', async () => {
    const raws = Array.from({ length: 12 }, (_, seed) => weights(20_000 * (seed + 1), seed + 1));

    const decoded = await Promise.all(
      raws.map(async (raw) => {
        const target = new Uint8Array(raw.length);
        await codec.decode(await codec.encode(raw), target);
        return target;
      }),
    );

    expect(decoded.map((bytes, index) => Buffer.compare(bytes, raws[index]!))).toEqual(
      raws.map(() => 0),
    );
  });

  it.each([1_000, 1_000_000])('refuses %p bytes that were cut short (19)', async (bytes) => {
    const encoded = await codec.encode(weights(bytes / 4, 5));

    const cut = encoded.subarray(0, encoded.length - 100);
    await expect(codec.decode(cut, new Uint8Array(bytes))).rejects.toBeInstanceOf(CodecError);
    await expect(codec.hashDecoded(cut, bytes)).rejects.toBeInstanceOf(CodecError);
  });

  it.each([0, 1_000, 1_000_000])('hashes %p bytes without giving them out', async (bytes) => {
    const raw = weights(bytes / 4, 6);
    const base = weights(bytes / 4, 7);
    const encoded = await codec.encode(raw, { base });

    expect(await codec.hashDecoded(await codec.encode(raw), bytes)).toBe(sha256(raw));
    expect(await codec.hashDecoded(encoded, bytes, base)).toBe(sha256(raw));
  });

  describe('openDigest', () => {
    it.each([
      ['a few', [100, 5_000, 20]],
      ['many', [1_000_000, 40, 300_000, 100_000, 2_000_000, 10_000]],
    ])('hashes %s bytes in the order in which they were to be decoded', async (_title, sizes) => {
      const raws = sizes.map((size, seed) => weights(size / 4, seed + 1));
      const encoded = await Promise.all(raws.map(async (raw) => await codec.encode(raw)));
      const digest = codec.openDigest(Buffer.concat(raws).length);
      const targets = raws.map(({ length }, index) =>
        index % 2 === 0 ? new Uint8Array(length) : shared(new Uint8Array(length)),
      );

      const decoding = targets.map((target, index) =>
        codec.decode(encoded[index]!, target, { digest }),
      );
      await Promise.all(decoding);

      expect(await digest.digest()).toBe(sha256(Buffer.concat(raws)));
      expect(targets.map((target, index) => Buffer.compare(target, raws[index]!))).toEqual(
        raws.map(() => 0),
      );
    });

    it('keeps digests apart that run side by side, also from one that was let go', async () => {
      const raws = [1, 2, 3].map((seed) => weights(100_000, seed));
      const digests = raws.map(({ length }) => codec.openDigest(length));
      const encoded = await Promise.all(raws.map(async (raw) => await codec.encode(raw)));
      const decode = async (index: number): Promise<void> => {
        const target = new Uint8Array(raws[index]!.length);
        await codec.decode(encoded[index]!, target, { digest: digests[index]! });
      };

      await Promise.all([decode(0), decode(1), decode(2), decode(0)]);
      digests[2]!.close();

      expect(await digests[0]!.digest()).toBe(sha256(Buffer.concat([raws[0]!, raws[0]!])));
      expect(await digests[1]!.digest()).toBe(sha256(raws[1]!));
    });

    it('hashes nothing at all', async () => {
      expect(await codec.openDigest(0).digest()).toBe(sha256(new Uint8Array()));
      expect(await codec.openDigest(1_000_000).digest()).toBe(sha256(new Uint8Array()));
    });
  });
});

describe('PooledCodec', () => {
  it('refuses work once it is closed', async () => {
    const codec = new PooledCodec(1);
    await codec.close();

    const late = codec.encode(weights(100_000, 1));
    await expect(late).rejects.toBeInstanceOf(CodecUnavailableError);
  });

  it('gives no digest of bytes of which some could not be decoded', async () => {
    const codec = new PooledCodec(1);
    const raw = weights(100_000, 1);
    const encoded = await codec.encode(raw);
    const digest = codec.openDigest(2 * raw.length);
    const decode = async (bytes: Uint8Array): Promise<void> => {
      await codec.decode(bytes, new Uint8Array(raw.length), { digest });
    };

    await expect(decode(encoded.subarray(1))).rejects.toBeInstanceOf(CodecError);
    await expect(decode(encoded)).rejects.toBeInstanceOf(CodecError);

    await expect(digest.digest()).rejects.toBeInstanceOf(CodecError);
    digest.close();
    await codec.close();
  });

  it('gives no digest once it is closed', async () => {
    const codec = new PooledCodec(1);
    const raw = weights(100_000, 1);
    const digest = codec.openDigest(raw.length);
    await codec.decode(await codec.encode(raw), new Uint8Array(raw.length), { digest });
    await codec.close();

    await expect(digest.digest()).rejects.toBeInstanceOf(CodecUnavailableError);
    digest.close();
  });

  it('fails what is under way when it is closed', async () => {
    const codec = new PooledCodec(1);
    const underWay = codec.hash(weights(1_000_000, 1));
    await Promise.all([
      expect(underWay).rejects.toBeInstanceOf(CodecUnavailableError),
      codec.close(),
    ]);
  });
});
