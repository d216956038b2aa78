import { type TensorSpec } from '../../../src/common/tensor';
import { noise, trials, zeros } from '../../../src/runtime/trial-inputs';
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
});

describe('trials', () => {
  const list = (inputs: readonly TensorSpec[], largest: number): string[] =>
    [...trials(inputs, 8, largest)].map(({ name, batch }) => `${name} ${batch}`);

  it('are of one, three and at times 32 rows', () => {
    expect(list([image], 32).slice(0, 5)).toEqual([
      'noise 1',
      'noise 3',
      'noise 32',
      'zeros 1',
      'zeros 3',
    ]);
    expect(list([image], 3)).not.toContain('noise 32');
    expect(list([image], 3)).toContain('negative numbers 3');
    expect(list([image], 3)).toContain('large numbers 1');
  });

  it('are of one row where the model takes no other number, or rows are large', () => {
    expect(list([{ ...image, shape: [1, 4] }], 32)).toHaveLength(4);
    expect(list([{ ...image, shape: [-1, 600_000] }], 32)).toHaveLength(4);
  });
});
