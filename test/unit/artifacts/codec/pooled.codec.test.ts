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

    await codec.decode(encoded, target, base);

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

    await codec.decode(shared(await codec.encode(raw, { base })), target, base);

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

  describe('openFile', () => {
    const sizes = [
      ['a few', [100, 5_000, 20]],
      ['many', [1_000_000, 40, 300_000, 100_000, 2_000_000, 10_000]],
    ] as const;

    it.each(sizes)('puts %s bytes together in the order of the calls', async (_title, lengths) => {
      const raws = lengths.map((length, seed) => weights(length / 4, seed + 1));
      const encoded = await Promise.all(raws.map(async (raw) => await codec.encode(raw)));
      const whole = Buffer.concat(raws);
      const file = codec.openFile(whole.length, 'whole');

      const decoding = raws.map(({ length }, index) => file.decode(encoded[index]!, length));
      expect((await Promise.all(decoding)).map(({ length }) => length)).toEqual(raws.map(() => 0));

      const { sha256: digest, bytes } = await file.end();
      expect(Buffer.compare(Buffer.from(bytes), whole)).toBe(0);
      expect(digest).toBe(sha256(whole));
    });

    it.each(sizes)('hands %s bytes out one by one, with their digest', async (_title, lengths) => {
      const raws = lengths.map((length, seed) => weights(length / 4, seed + 1));
      const base = weights(raws[0]!.length / 4, 9);
      const encoded = await Promise.all(
        raws.map(async (raw, index) => await codec.encode(raw, index === 0 ? { base } : {})),
      );
      const whole = Buffer.concat(raws);
      const file = codec.openFile(whole.length, 'segments');

      const parts = await Promise.all(
        raws.map(({ length }, index) =>
          file.decode(encoded[index]!, length, index === 0 ? base : undefined),
        ),
      );

      expect(parts.map((part, index) => Buffer.compare(part, raws[index]!))).toEqual(
        raws.map(() => 0),
      );
      const { sha256: digest, bytes } = await file.end();
      expect(digest).toBe(sha256(whole));
      expect(bytes.byteLength).toBe(0);
    });

    it('keeps files apart that run side by side, also from one that was let go', async () => {
      const raws = [1, 2, 3].map((seed) => weights(100_000, seed));
      const encoded = await Promise.all(raws.map(async (raw) => await codec.encode(raw)));
      const files = raws.map(({ length }) => codec.openFile(2 * length, 'none'));
      const decode = async (index: number): Promise<void> => {
        await files[index]!.decode(encoded[index]!, raws[index]!.length);
      };

      await Promise.all([decode(0), decode(1), decode(2), decode(0)]);
      files[2]!.close();

      expect((await files[0]!.end()).sha256).toBe(sha256(Buffer.concat([raws[0]!, raws[0]!])));
      expect((await files[1]!.end()).sha256).toBe(sha256(raws[1]!));
    });

    it.each([0, 1_000_000])('takes a file of %p bytes that has none', async (bytes) => {
      const end = await codec.openFile(bytes, 'segments').end();

      expect(end.sha256).toBe(sha256(new Uint8Array()));
      expect(end.bytes.byteLength).toBe(0);
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

  it('makes nothing of a file of which a segment could not be decoded', async () => {
    const codec = new PooledCodec(1);
    const raw = weights(100_000, 1);
    const encoded = await codec.encode(raw);
    const file = codec.openFile(2 * raw.length, 'whole');

    const damaged = file.decode(encoded.subarray(1), raw.length);
    const next = file.decode(encoded, raw.length);

    await expect(damaged).rejects.toBeInstanceOf(CodecError);
    await expect(next).rejects.toBeInstanceOf(CodecUnavailableError);
    await expect(file.end()).rejects.toBeInstanceOf(CodecUnavailableError);
    file.close();
    await codec.close();
  });

  it('makes nothing of a file once it is closed', async () => {
    const codec = new PooledCodec(1);
    const raw = weights(100_000, 1);
    const file = codec.openFile(raw.length, 'whole');
    await file.decode(await codec.encode(raw), raw.length);
    await codec.close();

    await expect(file.end()).rejects.toBeInstanceOf(CodecUnavailableError);
    file.close();
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
