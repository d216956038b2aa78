import { createHash } from 'node:crypto';

import { CodecError, CodecUnavailableError } from '../../../../src/artifacts/codec/codec.errors';
import { InlineCodec } from '../../../../src/artifacts/codec/inline.codec';
import { PooledCodec } from '../../../../src/artifacts/codec/pooled.codec';
import {
  type EncodedSegment,
  type SegmentCodec,
} from '../../../../src/artifacts/codec/segment.codec';
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

/** A copy that can be given away, in pieces of one buffer as the database sends them. */
function stored(encoded: Uint8Array, rawBytes: number, base?: Uint8Array): EncodedSegment {
  return { pieces: inPieces(encoded), rawBytes, ...(base && { base: inPieces(base) }) };
}

function inPieces(encoded: Uint8Array): Uint8Array[] {
  const [gap, half] = [7, Math.floor(encoded.length / 2)];
  const reply = new Uint8Array(encoded.length + 3 * gap).fill(0xa5);
  const pieces = [
    reply.subarray(gap, gap + half),
    reply.subarray(2 * gap + half, 2 * gap + encoded.length),
  ];
  pieces[0]!.set(encoded.subarray(0, half));
  pieces[1]!.set(encoded.subarray(half));
  return pieces;
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

    const encoded = await codec.encode(raw, { dtype: 'float32' });
    await codec.decode(stored(encoded, bytes), target);

    expect(Buffer.compare(target, raw)).toBe(0);
    expect(await codec.hash(raw)).toBe(sha256(raw));
  });

  it('leaves what it was given as it was, to be used again', async () => {
    const raw = weights(300_000, 2);
    const base = weights(300_000, 2).fill(7, 0, 1_000);
    const before = [Uint8Array.from(raw), Uint8Array.from(base)];
    const encoded = await codec.encode(raw, { base });
    const encodedBase = await codec.encode(base);
    const segment = { pieces: [encoded], rawBytes: raw.length, base: [encodedBase] };
    const encodedBefore = [encoded, encodedBase].map((bytes) => Uint8Array.from(bytes));
    const target = new Uint8Array(raw.length);

    await codec.decode(segment, target);

    expect(Buffer.compare(target, raw)).toBe(0);
    expect([raw, base].map((bytes, index) => Buffer.compare(bytes, before[index]!))).toEqual([
      0, 0,
    ]);
    expect(
      [encoded, encodedBase].map((bytes, index) => Buffer.compare(bytes, encodedBefore[index]!)),
    ).toEqual([0, 0]);
  });

  it('takes shared memory as well, and decodes into it', async () => {
    const raw = shared(weights(300_000, 3));
    const base = shared(weights(300_000, 4));
    const target = shared(new Uint8Array(raw.length));

    const encoded = shared(await codec.encode(raw, { base }));
    const encodedBase = shared(await codec.encode(base));
    const segment = { pieces: [encoded], rawBytes: raw.length, base: [encodedBase] };
    await codec.decode(segment, target);
    const [decoded] = await codec.decodeEach([segment], 'bytes');

    expect(Buffer.compare(target, raw)).toBe(0);
    expect(Buffer.compare(decoded!.bytes, raw)).toBe(0);
    expect(await codec.hash(raw)).toBe(await codec.hash(Uint8Array.from(raw)));
  });

  it('keeps many at once apart', async () => {
    const raws = Array.from({ length: 12 }, (_, seed) => weights(20_000 * (seed + 1), seed + 1));

    const decoded = await Promise.all(
      raws.map(async (raw) => {
        const target = new Uint8Array(raw.length);
        await codec.decode(stored(await codec.encode(raw), raw.length), target);
        return target;
      }),
    );

    expect(decoded.map((bytes, index) => Buffer.compare(bytes, raws[index]!))).toEqual(
      raws.map(() => 0),
    );
  });

  it.each([1_000, 1_000_000])('refuses %p bytes that were cut short (19)', async (bytes) => {
    const sound = await codec.encode(weights(bytes / 4, 5));
    const cut = (): EncodedSegment => stored(sound.subarray(0, sound.length - 100), bytes);

    await expect(codec.decode(cut(), new Uint8Array(bytes))).rejects.toBeInstanceOf(CodecError);
    await expect(codec.decodeEach([stored(sound, bytes), cut()], 'both')).rejects.toMatchObject({
      code: 'block_corrupt',
      index: 1,
      isInBase: false,
    });
  });

  it.each([1_000, 1_000_000])('tells damage to a base of %p bytes apart (19)', async (bytes) => {
    const [raw, base] = [weights(bytes / 4, 5), weights(bytes / 4, 6)];
    const encoded = await codec.encode(raw, { base });
    const cut = (await codec.encode(base)).subarray(1);

    const file = codec.openFile(bytes, 'whole');
    const damaged = { code: 'block_corrupt', index: 0, isInBase: true };
    await expect(file.decode([stored(encoded, bytes, cut)])).rejects.toMatchObject(damaged);
    await expect(codec.decodeEach([stored(encoded, bytes, cut)], 'digest')).rejects.toMatchObject(
      damaged,
    );
  });

  it.each([0, 1_000, 1_000_000])('gives of %p bytes what is wanted only', async (bytes) => {
    const [raw, base] = [weights(bytes / 4, 6), weights(bytes / 4, 7)];
    const [alone, difference, encodedBase] = await Promise.all([
      codec.encode(raw),
      codec.encode(raw, { base }),
      codec.encode(base),
    ]);
    const segments = (): EncodedSegment[] => [
      stored(difference, bytes, encodedBase),
      stored(alone, bytes),
    ];

    const digests = await codec.decodeEach(segments(), 'digest');
    const both = await codec.decodeEach(segments(), 'both');
    const raws = await codec.decodeEach(segments(), 'bytes');

    expect(digests.map((one) => [one.sha256, one.bytes.length])).toEqual([
      [sha256(raw), 0],
      [sha256(raw), 0],
    ]);
    expect(both.map((one) => [one.sha256, Buffer.compare(one.bytes, raw)])).toEqual([
      [sha256(raw), 0],
      [sha256(raw), 0],
    ]);
    expect(raws.map((one) => [one.sha256, Buffer.compare(one.bytes, raw)])).toEqual([
      ['', 0],
      ['', 0],
    ]);
  });

  it('decodes many segments of one buffer, the same one twice among them', async () => {
    const raws = [1, 2, 3].map((seed) => weights(100_000 * seed, seed));
    const encoded = await Promise.all(raws.map(async (raw) => await codec.encode(raw)));
    const reply = Buffer.concat(encoded);
    let at = 0;
    const segments = encoded.map(({ length }, index) => ({
      pieces: [reply.subarray(at, (at += length))],
      rawBytes: raws[index]!.length,
    }));

    const decoded = await codec.decodeEach([...segments, segments[0]!], 'bytes');

    expect(decoded.map(({ bytes }, index) => Buffer.compare(bytes, raws[index % 3]!))).toEqual([
      0, 0, 0, 0,
    ]);
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

      const segments = raws.map(({ length }, index) => stored(encoded[index]!, length));
      const decoding = [file.decode(segments.slice(0, 2)), file.decode(segments.slice(2))];
      expect((await Promise.all(decoding)).flat().map(({ length }) => length)).toEqual(
        raws.map(() => 0),
      );

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

      const encodedBase = await codec.encode(base);

      const parts = await Promise.all(
        raws.map(({ length }, index) =>
          file.decode([stored(encoded[index]!, length, index === 0 ? encodedBase : undefined)]),
        ),
      );

      expect(parts.flat().map((part, index) => Buffer.compare(part, raws[index]!))).toEqual(
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
        await files[index]!.decode([stored(encoded[index]!, raws[index]!.length)]);
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

  it('takes the memory of what it decodes over, and so copies nothing', async () => {
    const codec = new PooledCodec(1);
    const raw = weights(100_000, 1);
    const segment = stored(await codec.encode(raw), raw.length);
    const other = stored(await codec.encode(raw), raw.length);

    await codec.openFile(raw.length, 'whole').decode([segment]);
    await codec.decodeEach([other], 'digest');

    expect([...segment.pieces, ...other.pieces].map(({ length }) => length)).toEqual([0, 0, 0, 0]);
    await codec.close();
  });

  it('makes nothing of a file of which a segment could not be decoded', async () => {
    const codec = new PooledCodec(1);
    const raw = weights(100_000, 1);
    const encoded = await codec.encode(raw);
    const file = codec.openFile(2 * raw.length, 'whole');

    const damaged = file.decode([stored(encoded.subarray(1), raw.length)]);
    const next = file.decode([stored(encoded, raw.length)]);

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
    await file.decode([stored(await codec.encode(raw), raw.length)]);
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
