import { toHalf } from '../common/half-floats';
import {
  type DType,
  DTYPE_BYTES,
  elementCount,
  type NamedTensors,
  type Tensor,
  type TensorSpec,
} from '../common/tensor';

/** Zeros (false, empty text) for each input; `batch` and `size` stand in for open dimensions. */
export function zeros(inputs: readonly TensorSpec[], batch: number, size: number): NamedTensors {
  return Object.fromEntries(
    inputs.map(({ name, dtype, shape }): [string, Tensor] => {
      const sizes = shape.map((dimension, axis) =>
        dimension >= 0 ? dimension : axis === 0 ? batch : size,
      );
      // An empty text is its length alone.
      const width = dtype === 'string' ? 4 : DTYPE_BYTES[dtype];
      return [name, { dtype, shape: sizes, data: new Uint8Array(elementCount(sizes) * width) }];
    }),
  );
}

/**
 * Beyond so many, numbers come again: they are made where nothing may take long. A prime, so that
 * no row or line of an input is the same as another.
 */
const MOST_DRAWN = 65_521;

/** Numbers between two bounds, whole ones where the input is, the same ones each time for a seed. */
export function noise(
  inputs: readonly TensorSpec[],
  batch: number,
  size: number,
  seed: number,
  [low, high]: readonly [number, number] = [0, 1],
): NamedTensors {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return low + (state / 2 ** 32) * (high - low);
  };
  return Object.fromEntries(
    Object.entries(zeros(inputs, batch, size)).map(([name, { dtype, shape }]): [string, Tensor] => {
      const values = emptyValues(dtype, dtype === 'string' ? 0 : elementCount(shape));
      const drawn = Math.min(values.length, MOST_DRAWN);
      for (let at = 0; at < drawn; at++) {
        const value = next();
        if (values instanceof BigInt64Array) values[at] = BigInt(Math.round(value));
        else if (dtype === 'float16') values[at] = toHalf(value);
        else if (dtype === 'float32' || dtype === 'float64') values[at] = value;
        else if (dtype === 'int32') values[at] = Math.round(value);
        else values[at] = value > (low + high) / 2 ? 1 : 0;
      }
      for (let at = drawn; at < values.length; at *= 2) {
        values.copyWithin(at, 0, Math.min(at, values.length - at));
      }
      return [name, { dtype, shape, data: new Uint8Array(values.buffer) }];
    }),
  );
}

function emptyValues(dtype: DType, count: number) {
  switch (dtype) {
    case 'float32':
      return new Float32Array(count);
    case 'float64':
      return new Float64Array(count);
    case 'float16':
      return new Uint16Array(count);
    case 'int32':
      return new Int32Array(count);
    case 'int64':
      return new BigInt64Array(count);
    case 'uint8':
    case 'bool':
    case 'string':
      return new Uint8Array(count);
  }
}
