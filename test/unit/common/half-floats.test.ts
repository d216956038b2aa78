import { expandHalfs, toHalf } from '../../../src/common/half-floats';

describe('toHalf', () => {
  it('gives back the bits of every half float but for the payload of NaN', () => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, index) => index);
    const values = expandHalfs(bits);

    for (const [index, value] of values.entries()) {
      expect(toHalf(value)).toBe(Number.isNaN(value) ? 0x7e00 : bits[index]);
    }
  });

  it.each([
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2047.9999, 0x6800],
    [2 ** -25, 0],
    [2 ** -24 * 1.5, 2],
    [65_519.99, 0x7bff],
    [65_520, 0x7c00],
    [-1e9, 0xfc00],
  ])('rounds %p to the nearest, of two to the even one', (value, bits) => {
    expect(toHalf(value)).toBe(bits);
  });
});
