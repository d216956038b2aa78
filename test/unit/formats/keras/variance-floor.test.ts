import { keptBytes } from '../../../../src/formats/keras/mend-tfjs';
import {
  floorVariances,
  NORMALIZATION_EPSILON,
} from '../../../../src/formats/keras/variance-floor';

const VARIANCES = [4, 1e-6, 1e-10, 4e-14, 2e-15, 0];
const bytesOf = (values: readonly number[]): Buffer =>
  Buffer.from(Float32Array.from(values).buffer);
const floatsOf = (bytes: Uint8Array): number[] => [
  ...new Float32Array(Uint8Array.from(bytes).buffer),
];

/** What a BatchNormalization divides by. */
const divisors = (variances: readonly number[]): number[] =>
  variances.map((variance) => Math.sqrt(variance + NORMALIZATION_EPSILON));

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, index) => {
    expect(value / expected[index]!).toBeCloseTo(1, 6);
  });
}

describe('the variances of a Normalization', () => {
  const keras = VARIANCES.map((variance) => Math.max(Math.sqrt(variance), 1e-7));

  it('make a BatchNormalization divide by what Keras divides by, however small they are', () => {
    expectClose(divisors(floatsOf(floorVariances(bytesOf(VARIANCES)))), keras);
  });

  it('stay what they are to the last bit where they are of an ordinary size', () => {
    const ordinary = [1e-6, 0.25, 1, 1e30];

    expect(floorVariances(bytesOf(ordinary))).toEqual(new Uint8Array(bytesOf(ordinary)));
  });

  it.each([1, 3, 7, 1000])(
    'are found among the weights of a converted model that comes in pieces of %d bytes',
    async (size) => {
      const around = [2e-15, 0];
      const whole = bytesOf([...around, ...VARIANCES, ...around, ...around]);
      const pieces = async function* (): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < whole.length; at += size) {
          yield await Promise.resolve(whole.subarray(at, at + size));
        }
      };
      const span = (values: readonly number[], isKept: boolean, isVariance = false) => ({
        bytes: values.length * 4,
        isKept,
        isVariance,
      });
      const kept: Uint8Array[] = [];
      for await (const piece of keptBytes(pieces(), [
        span(around, true),
        span(VARIANCES, true, true),
        span(around, false),
        span(around, true),
      ])) {
        kept.push(Uint8Array.from(piece));
      }

      const floats = floatsOf(Buffer.concat(kept));
      expect(floats.slice(0, 2)).toEqual(floatsOf(bytesOf(around)));
      expectClose(divisors(floats.slice(2, -2)), keras);
      expect(floats.slice(-2)).toEqual(floatsOf(bytesOf(around)));
    },
  );
});
