import fc from 'fast-check';

import { CodecError } from '../../../../src/artifacts/codec/codec.errors';
import { entropyBits } from '../../../../src/artifacts/codec/entropy';
import { decodeSegment } from '../../../../src/artifacts/codec/segment-decoder';
import {
  encodeSegment,
  SEGMENT_OVERHEAD_BYTES,
} from '../../../../src/artifacts/codec/segment-encoder';
import {
  type SegmentHint,
  WEIGHT_DTYPES,
  type WeightDtype,
} from '../../../../src/artifacts/codec/segment.codec';
import { randomNumbers } from '../../../support/random-numbers';

const BLOCK_BYTES = 512 * 1024;

/** Bit patterns that arithmetic would not keep: -0, denormals, infinities, NaNs with a payload. */
const ODD_FLOATS = [
  0x80000000, 0x00000001, 0x807fffff, 0x7f800000, 0xff800000, 0x7fc12345, 0xffa00001, 0x7f800001,
];

function roundTrip(raw: Uint8Array, hint: SegmentHint = {}): Uint8Array {
  const encoded = encodeSegment(raw, hint);
  // Around the target nothing may be touched.
  const memory = new Uint8Array(raw.length + 32).fill(0xa5);
  decodeSegment(encoded, memory.subarray(16, 16 + raw.length), hint.base);
  expect(Buffer.compare(memory.subarray(16, 16 + raw.length), raw)).toBe(0);
  expectUntouchedAround(memory, raw.length);
  expect(encoded.length).toBeLessThanOrEqual(raw.length + SEGMENT_OVERHEAD_BYTES);
  return encoded;
}

function expectUntouchedAround(memory: Uint8Array, length: number): void {
  const guard = Buffer.alloc(16, 0xa5);
  expect(guard.equals(memory.subarray(0, 16))).toBe(true);
  expect(guard.equals(memory.subarray(16 + length))).toBe(true);
}

function ratio(raw: Uint8Array, hint: SegmentHint): number {
  return raw.length / roundTrip(raw, hint).length;
}

/** Bell-shaped like trained weights. */
function weights(count: number, seed = 1): Float32Array {
  const random = randomNumbers(seed);
  const bell = (): number => random() + random() + random() + random() - 2;
  return Float32Array.from({ length: count }, () => 0.05 * bell());
}

function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

const aDtype: fc.Arbitrary<WeightDtype | undefined> = fc.option(fc.constantFrom(...WEIGHT_DTYPES), {
  nil: undefined,
});

/** Bytes of several kinds, in views that begin anywhere, some longer than a sample or a block. */
const aSegment: fc.Arbitrary<Uint8Array> = fc
  .record({
    kind: fc.constantFrom('noise', 'weights', 'rounded', 'text', 'zeros', 'odd', 'mixed'),
    length: fc.oneof(
      fc.nat({ max: 40 }),
      fc.nat({ max: 5_000 }),
      fc.integer({ min: 65_000, max: 66_000 }),
      fc.integer({ min: BLOCK_BYTES - 3, max: BLOCK_BYTES + 70_000 }),
    ),
    offset: fc.nat({ max: 5 }),
    seed: fc.integer({ min: 1, max: 1e9 }),
  })
  .map(({ kind, length, offset, seed }) => {
    const memory = new Uint8Array(offset + length);
    memory.set(fill(kind, length, seed), offset);
    return memory.subarray(offset);
  });

function fill(kind: string, length: number, seed: number): Uint8Array {
  const random = randomNumbers(seed);
  const count = Math.ceil(length / 4) + 1;
  switch (kind) {
    case 'noise':
      return Uint8Array.from({ length }, () => random() * 256);
    case 'weights':
      return bytesOf(weights(count, seed)).subarray(0, length);
    case 'rounded':
      return bytesOf(
        Uint32Array.from(new Uint32Array(weights(count, seed).buffer), (bits) => bits & 0xffff0000),
      ).subarray(0, length);
    case 'text':
      return Buffer.from('{"name":"dense/kernel"},'.repeat(1 + length / 24)).subarray(0, length);
    case 'zeros':
      return new Uint8Array(length);
    case 'odd':
      return bytesOf(
        Uint32Array.from({ length: count }, () => ODD_FLOATS[Math.floor(random() * 8)]!),
      ).subarray(0, length);
    default:
      return Uint8Array.from({ length }, (_, index) =>
        index % 3000 < 1000 ? random() * 256 : index % 4,
      );
  }
}

describe('a segment', () => {
  it('comes back byte for byte, whatever it holds and whatever its hint says', () => {
    fc.assert(
      fc.property(aSegment, aDtype, (raw, dtype) => {
        roundTrip(raw, dtype ? { dtype } : {});
      }),
      { numRuns: 60 },
    );
  });

  it('comes back byte for byte as a difference to a base of the same length', () => {
    fc.assert(
      fc.property(aSegment, aDtype, fc.nat({ max: 100 }), (raw, dtype, percent) => {
        const random = randomNumbers(percent + 1);
        const base = raw.map((byte) => (random() * 100 < percent ? random() * 256 : byte));
        roundTrip(raw, { base, ...(dtype && { dtype }) });
      }),
      { numRuns: 40 },
    );
  });

  it.each(ODD_FLOATS)('keeps the bits of a float that is no plain number: %p', (bits) => {
    roundTrip(bytesOf(new Uint32Array(2_000).fill(bits)), { dtype: 'float32' });
  });

  it('is empty when there is nothing to encode', () => {
    expect(encodeSegment(new Uint8Array()).length).toBe(0);

    decodeSegment(new Uint8Array(), new Uint8Array());
  });

  it('is the same in shared memory', () => {
    const raw = new Uint8Array(new SharedArrayBuffer(100_000));
    raw.set(bytesOf(weights(25_000)));

    expect(roundTrip(raw, { dtype: 'float32' })).toEqual(
      roundTrip(Uint8Array.from(raw), { dtype: 'float32' }),
    );
  });
});

describe('the size of a segment', () => {
  const floats = bytesOf(weights(400_000));

  it('is that of entropy-coded exponents for float32', () => {
    expect(ratio(floats, { dtype: 'float32' })).toBeGreaterThan(1.17);
  });

  it('is as small when nobody says what the bytes are, or where numbers begin', () => {
    const shifted = Buffer.concat([Buffer.from('abc'), floats]);

    expect(ratio(shifted, {})).toBeGreaterThan(1.17);
  });

  it('follows from the values where they were rounded once', () => {
    const bits = new Uint32Array(weights(400_000).buffer).map((value) => value & 0xffff0000);

    expect(ratio(bytesOf(bits), { dtype: 'float32' })).toBeGreaterThan(2.6);
  });

  it('is a byte more than the bytes where these are noise', () => {
    const random = randomNumbers(7);
    const noise = Uint8Array.from({ length: 1_500_000 }, () => random() * 256);

    expect(encodeSegment(noise).length).toBe(noise.length + SEGMENT_OVERHEAD_BYTES);
  });

  it('is near nothing where the base is the same', () => {
    expect(ratio(floats, { dtype: 'float32', base: Uint8Array.from(floats) })).toBeGreaterThan(
      2_000,
    );
  });

  it.each(['float32', 'uint8', undefined] as const)(
    'is near nothing where few bytes differ from the base: %p',
    (dtype) => {
      const raw = Uint8Array.from(floats);
      for (let at = 0; at < raw.length; at += 40_000) raw[at]! ^= 1;

      expect(ratio(raw, { base: floats, ...(dtype && { dtype }) })).toBeGreaterThan(500);
      expect(
        ratio(
          raw.map((byte, at) => byte ^ floats[at]!),
          dtype ? { dtype } : {},
        ),
      ).toBeGreaterThan(500);
    },
  );

  it.each(['uint8', undefined] as const)(
    'counts a stretch once that stands there many times, further apart than a sample: %p',
    (dtype) => {
      const random = randomNumbers(11);
      const stretch = Uint8Array.from({ length: 40_000 }, () => random() * 4);
      const raw = Buffer.concat(Array.from({ length: 10 }, () => stretch));

      expect(ratio(raw, dtype ? { dtype } : {})).toBeGreaterThan(30);
    },
  );

  it('is that of half a file whose halves are equal, though no byte of it shrinks', () => {
    const random = randomNumbers(12);
    const half = Uint8Array.from({ length: 700_000 }, () => random() * 256);

    expect(ratio(Buffer.concat([half, half]), {})).toBeGreaterThan(1.99);
  });

  it.each(['uint8', 'int8', undefined] as const)(
    'is that of the frequencies of its bytes where there is nothing else: %p',
    (dtype) => {
      const random = randomNumbers(13);
      const bell = (): number => random() + random() + random() + random() - 2;
      const raw = Uint8Array.from({ length: 400_000 }, () => 128 + 40 * bell());

      const bits = entropyBits(raw);
      expect(ratio(raw, dtype ? { dtype } : {})).toBeGreaterThan((8 / bits) * 0.99);
    },
  );

  it('spends one byte beside the frame on short text', () => {
    const text = Buffer.from('{"format":"layers-model","generatedBy":"x","x":"layers-model"}');

    expect(encodeSegment(text).length).toBeLessThan(text.length);
  });
});

describe('a damaged segment', () => {
  const encodings = (
    [
      ['planes', bytesOf(weights(200_000)), { dtype: 'float32' }],
      ['small planes', bytesOf(weights(300)), { dtype: 'float32' }],
      ['two-byte planes', bytesOf(weights(100_000)), { dtype: 'float16' }],
      ['text', fill('text', 90_000, 1), {}],
      ['a whole frame', fill('text', 1_500_000, 1), { dtype: 'uint8' }],
      ['noise', fill('noise', 600_000, 1), {}],
      ['zeros', fill('zeros', 600_000, 1), { base: fill('zeros', 600_000, 1) }],
    ] as const
  ).map(([name, raw, hint]) => ({ name, raw, hint, encoded: encodeSegment(raw, hint) }));

  /** Either it is found to be damaged, or it decodes to something: the digest is what tells then. */
  function decodesOrIsRefused(encoded: Uint8Array, rawBytes: number, base?: Uint8Array): void {
    const memory = new Uint8Array(rawBytes + 32).fill(0xa5);
    try {
      decodeSegment(encoded, memory.subarray(16, 16 + rawBytes), base);
    } catch (error) {
      expect(error).toBeInstanceOf(CodecError);
    }
    expectUntouchedAround(memory, rawBytes);
  }

  it.each(encodings)('is refused when it ends early: $name (19)', ({ raw, hint, encoded }) => {
    const base = 'base' in hint ? hint.base : undefined;
    for (const kept of [0, 1, 2, 5, encoded.length >> 1, encoded.length - 1]) {
      expect(() => {
        decodeSegment(encoded.subarray(0, kept), new Uint8Array(raw.length), base);
      }).toThrow(CodecError);
    }
  });

  it.each(encodings)('is refused when more follows: $name (20)', ({ raw, hint, encoded }) => {
    const base = 'base' in hint ? hint.base : undefined;
    const longer = Buffer.concat([encoded, encoded.subarray(0, 7)]);

    expect(() => {
      decodeSegment(longer, new Uint8Array(raw.length), base);
    }).toThrow(CodecError);
  });

  it.each(encodings)('is refused for another length: $name (20)', ({ raw, hint, encoded }) => {
    for (const length of [0, 1, raw.length - 1, raw.length + 1, raw.length + BLOCK_BYTES]) {
      const base = 'base' in hint ? new Uint8Array(length) : undefined;
      expect(() => {
        decodeSegment(encoded, new Uint8Array(length), base);
      }).toThrow(CodecError);
    }
  });

  it.each(encodings)('does no harm where bits are flipped: $name (19)', (encoding) => {
    const { raw, hint, encoded } = encoding;
    const base = 'base' in hint ? hint.base : undefined;
    fc.assert(
      fc.property(
        fc.oneof(fc.nat({ max: Math.min(24, encoded.length - 1) }), fc.nat(encoded.length - 1)),
        fc.integer({ min: 1, max: 255 }),
        (at, flipped) => {
          const damaged = Uint8Array.from(encoded);
          damaged[at]! ^= flipped;
          decodesOrIsRefused(damaged, raw.length, base);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('does no harm where it is forged from anything (49)', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 255 }),
        fc.uint8Array({ maxLength: 64 }),
        fc.constantFrom(0, 1, 3, 17, 5_000, BLOCK_BYTES, BLOCK_BYTES + 5),
        (tag, body, rawBytes) => {
          const forged = Uint8Array.from([tag, ...body]);
          decodesOrIsRefused(forged, rawBytes);
          decodesOrIsRefused(forged, rawBytes, new Uint8Array(rawBytes));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('is refused when it needs a base and has none', () => {
    const base = bytesOf(weights(5_000, 1));
    const encoded = encodeSegment(bytesOf(weights(5_000, 1)), { base, dtype: 'float32' });

    expect(() => {
      decodeSegment(encoded, new Uint8Array(base.length));
    }).toThrow(CodecError);
  });
});
