import { type DType, type Signature } from '../../src/common/tensor';

/** A signature with these inputs, of one type, and no outputs. */
export function takes(
  inputs: Readonly<Record<string, readonly number[]>>,
  dtype: DType = 'float32',
): Signature {
  return {
    inputs: Object.entries(inputs).map(([name, shape]) => ({ name, dtype, shape })),
    outputs: [],
  };
}
