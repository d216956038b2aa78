import fc from 'fast-check';

import { type Decimal, findDecimal } from '../../../src/common/float32-decimal';

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** Bits of positive, finite numbers. */
const INFINITY_BITS = 0x7f800000;

function ofBits(bits: number): number {
  BITS[0] = bits;
  return FLOAT[0]!;
}

function decimalOf(value: number): Decimal {
  const found = { digits: 0, exponent: 0 };
  findDecimal(value, found);
  return found;
}

const read = (digits: number | bigint, exponent: number): number =>
  Math.fround(Number(`${digits}e${exponent}`));

/** Whether any decimal of that many digits is read as the number: only the two around it can be. */
function hasDecimal(value: number, count: number): boolean {
  const [digits, exponent] = value.toExponential(count - 1).split('e') as [string, string];
  const nearest = BigInt(digits.replace('.', ''));
  return [nearest - 1n, nearest, nearest + 1n].some(
    (candidate) => read(candidate, Number(exponent) - (count - 1)) === value,
  );
}

function check(value: number): void {
  const { digits, exponent } = decimalOf(value);
  const text = String(digits).replace(/0+$/, '');

  expect(read(digits, exponent)).toBe(value);
  expect(Number.isSafeInteger(digits)).toBe(true);
  expect(text.length > 1 && hasDecimal(value, text.length - 1)).toBe(false);
}

describe('the shortest decimal of a float32', () => {
  it('is read as the number, and no shorter one is, for any bits', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: INFINITY_BITS - 1 }).map(ofBits), check), {
      numRuns: 3000,
    });
  });

  it('is so at and around every power of two', () => {
    for (let exponent = 0; exponent < 255; exponent++) {
      for (const mantissa of [0, 1, 0x7fffff]) {
        const bits = exponent * 2 ** 23 + mantissa;
        if (bits > 0) check(ofBits(bits));
      }
    }
  });

  it('is so for numbers of few digits', () => {
    const few = fc
      .tuple(fc.integer({ min: 1, max: 9999 }), fc.integer({ min: -30, max: 30 }))
      .map(([digits, exponent]) => [read(digits, exponent), digits] as const);
    fc.assert(
      fc.property(few, ([value, digits]) => {
        check(value);
        const { digits: found } = decimalOf(value);
        expect(String(found).replace(/0+$/, '').length).toBeLessThanOrEqual(String(digits).length);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    [0.1, 1, -1],
    [0.5, 5, -1],
    [16777216, 16777216, 0],
    [3.4028234663852886e38, 34028235, 31],
    [1.401298464324817e-45, 1, -45],
    [9.999999974752427e-7, 1, -6],
    [1.262177448353619e-29, 12621775, -36],
  ])('of %p is %p times ten to the %p', (value, digits, exponent) => {
    expect(decimalOf(value)).toEqual({ digits, exponent });
  });
});
