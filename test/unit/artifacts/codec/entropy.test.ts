import { entropyBits } from '../../../../src/artifacts/codec/entropy';

describe('entropyBits', () => {
  it.each([
    ['nothing', [], 0],
    ['one byte', [7], 0],
    ['the same again and again', [9, 9, 9, 9, 9], 0],
    ['two in equal parts', [0, 255, 255, 0], 1],
    ['three of four', [1, 1, 1, 2], 0.8112781],
    ['all there are', Array.from({ length: 256 }, (_, byte) => byte), 8],
    ['all there are and one more', [...Array.from({ length: 256 }, (_, byte) => byte), 0], 7.9978],
  ])('is that of the frequencies: %s', (_title, bytes, bits) => {
    expect(entropyBits(Uint8Array.from(bytes))).toBeCloseTo(bits, 4);
  });
});
