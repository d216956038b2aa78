import { type Tensor } from '../../../src/common/tensor';
import { disagreement } from '../../../src/runtime/agreement';
import { floatTensor } from '../../support/golden';

const ints = (...values: number[]): Tensor => ({
  dtype: 'int32',
  shape: [values.length],
  data: new Uint8Array(Int32Array.from(values).buffer),
});
const row = (...values: number[]): Tensor => floatTensor([values.length], values);

describe('disagreement', () => {
  it.each([
    ['equal numbers', row(1, 0, -3), row(1, 0, -3)],
    ['numbers 1e-5 apart', row(1000.005), row(1000)],
    ['small numbers 1e-6 apart', row(0), row(9e-7)],
    ['NaN and infinities in the same places', row(NaN, Infinity), row(NaN, Infinity)],
    ['zeros of both signs', row(-0), row(0)],
    ['equal whole numbers', ints(1, -7), ints(1, -7)],
  ])('finds none between %s', (_, y, expected) => {
    expect(disagreement({ y }, { y: expected })).toBeNull();
  });

  it.each([
    ['a number further apart', row(1, 1.0001), row(1, 1), 'differs at 1'],
    ['the largest of several', row(2, 5, 3), row(1, 1, 1), 'differs at 1: 5 instead of 1'],
    ['NaN for a number', row(9, NaN), row(1, 1), 'differs at 1: NaN instead of 1'],
    ['a number for NaN', row(1), row(NaN), '1 instead of NaN'],
    ['a number for infinity', row(1), row(Infinity), '1 instead of Infinity'],
    ['the other infinity', row(-Infinity), row(Infinity), '-Infinity instead of Infinity'],
    ['large whole numbers one apart', ints(1e9 + 1), ints(1e9), 'differs at 0'],
    ['another type', ints(1), row(1), 'is int32 instead of float32'],
    ['another shape', row(1, 2), floatTensor([2, 1], [1, 2]), 'of shape [2] instead of [2,1]'],
  ])('finds %s', (_, y, expected, found) => {
    expect(disagreement({ y }, { y: expected })).toContain(found);
  });

  it('finds an output that is missing, and does not mind one more', () => {
    expect(disagreement({}, { y: row(1) })).toBe('output y is missing');
    expect(disagreement({ y: row(1), z: row(2) }, { y: row(1) })).toBeNull();
  });
});
