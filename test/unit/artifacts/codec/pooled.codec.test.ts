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
    expect(await codec.hash(raw)).toBe(createHash('sha256').update(raw).digest('hex'));
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
  });
});

describe('PooledCodec', () => {
  it('refuses work once it is closed', async () => {
    const codec = new PooledCodec(1);
    await codec.close();

    const late = codec.encode(weights(100_000, 1));
    await expect(late).rejects.toBeInstanceOf(CodecUnavailableError);
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
