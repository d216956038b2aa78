import { type TensorSpec } from '../../../src/common/tensor';
import { noise, zeros } from '../../../src/runtime/trial-inputs';
import { floats } from '../../support/golden';

const image: TensorSpec = { name: 'x', dtype: 'float32', shape: [-1, 4] };

describe('zeros', () => {
  it('makes every type, empty texts included', () => {
    const tensors = zeros(
      [
        { name: 'f', dtype: 'float32', shape: [-1, 2] },
        { name: 'i', dtype: 'int32', shape: [-1] },
        { name: 'b', dtype: 'bool', shape: [3] },
        { name: 's', dtype: 'string', shape: [-1, -1] },
      ],
      2,
      5,
    );

    expect(Object.values(tensors).map(({ shape, data }) => [shape, data.byteLength])).toEqual([
      [[2, 2], 16],
      [[2], 8],
      [[3], 3],
      [[2, 5], 40],
    ]);
  });
});

describe('noise', () => {
  it('is the same each time, and another for another seed', () => {
    expect(noise([image], 3, 1, 1)).toEqual(noise([image], 3, 1, 1));
    expect(noise([image], 3, 1, 1)).not.toEqual(noise([image], 3, 1, 2));
  });

  it('stays between its bounds, and whole where the input is', () => {
    const [first] = Object.values(noise([{ ...image, dtype: 'int32' }], 50, 1, 3, [-255, 255])).map(
      (tensor) => [...floats(tensor)],
    );

    expect(Math.min(...first!)).toBeGreaterThanOrEqual(-255);
    expect(Math.max(...first!)).toBeLessThanOrEqual(255);
    expect(new Set(first).size).toBeGreaterThan(50);
    expect(first!.every(Number.isInteger)).toBe(true);
  });

  it('goes on without end, and never repeats a row', () => {
    const { x } = noise([{ ...image, shape: [-1, 100_000] }], 2, 1, 1);
    const values = floats(x!);

    expect(values.every((value) => value > 0 && value < 1)).toBe(true);
    expect(values.subarray(65_521, 65_600)).toEqual(values.subarray(0, 79));
    expect(values.subarray(100_000)).not.toEqual(values.subarray(0, 100_000));
  });
});
