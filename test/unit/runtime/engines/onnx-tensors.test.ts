import { rowsAs } from '../../../../src/runtime/engines/onnx-tensors';
import { TensorMismatchError } from '../../../../src/runtime/runtime.errors';
import { floatTensor } from '../../../support/golden';

describe('rowsAs', () => {
  const tensor = floatTensor([3, 2, 4], new Array<number>(24).fill(1));

  it('gives the same numbers as rows of the other shape', () => {
    const fed = rowsAs([-1, 8], 'x', tensor, [-1, 2, 4]);

    expect(fed).toEqual({ ...tensor, shape: [3, 8] });
    expect(fed.data).toBe(tensor.data);
  });

  it.each([
    [-1, 4, 2],
    [-1, 8],
    [-1, 2, 4, 1],
    [2, 2, 4],
  ])('refuses what is not of the shape of its input, though it would fit (%#)', (...shape) => {
    expect(() => rowsAs([-1, 8], 'x', tensor, shape)).toThrow(TensorMismatchError);
  });
});
