import { elementCount } from '../../common/tensor';

/** Types that a compiled model computes with; texts stay with TensorFlow.js. */
export type ComputedType = 'float32' | 'int32' | 'bool';

/** A tensor that is known when the model is compiled: weights, shapes, axes. */
export interface Constant {
  readonly dtype: ComputedType;
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array | Uint8Array;
}

export function constantOf(
  dtype: ComputedType,
  shape: readonly number[],
  values: Iterable<number>,
): Constant {
  const array = {
    float32: () => Float32Array.from(values),
    int32: () => Int32Array.from(values),
    bool: () => Uint8Array.from(values),
  }[dtype]();
  return { dtype, shape, values: array };
}

export function floats(values: readonly number[]): Constant {
  return constantOf('float32', [values.length], values);
}

export function scalar(value: number, dtype: ComputedType = 'float32'): Constant {
  return constantOf(dtype, [], [value]);
}

export function reshaped(constant: Constant, shape: readonly number[]): Constant {
  return { ...constant, shape };
}

/** The same elements with axis `i` of the result being axis `permutation[i]` of the constant. */
export function permuted(constant: Constant, permutation: readonly number[]): Constant {
  const { dtype, shape, values } = constant;
  if (permutation.every((axis, index) => axis === index)) return constant;
  const newShape = permutation.map((axis) => shape[axis] ?? 1);
  // Kernels of one place would make the innermost loop one of a single turn.
  const moved = permutation.filter((axis) => shape[axis] !== 1);
  const sizes = moved.map((axis) => shape[axis] ?? 1);
  const steps = moved.map((axis) => elementCount(shape.slice(axis + 1)));
  const result = values.slice();
  const innerSize = sizes.at(-1) ?? 1;
  const innerStep = steps.at(-1) ?? 1;
  const index = sizes.slice(0, -1).map(() => 0);
  let from = 0;
  // Weights are millions of numbers: the innermost axis is a plain loop, the others count along.
  for (let to = 0; to < result.length;) {
    for (let at = from, end = to + innerSize; to < end; to++, at += innerStep) {
      result[to] = values[at] ?? 0;
    }
    for (let axis = index.length - 1; axis >= 0; axis--) {
      const step = steps[axis] ?? 0;
      const next = (index[axis] ?? 0) + 1;
      from += step;
      if (next < (sizes[axis] ?? 1)) {
        index[axis] = next;
        break;
      }
      index[axis] = 0;
      from -= step * next;
    }
  }
  return { dtype, shape: newShape, values: result };
}

/** Each element times the factor of its index along one axis. */
export function scaledAlong(
  { shape, values }: Constant,
  axis: number,
  factors: ArrayLike<number>,
): Constant {
  const inner = elementCount(shape.slice(axis + 1));
  const size = shape[axis] ?? 1;
  const scaled = new Float32Array(values.length);
  for (let at = 0, index = 0; at < scaled.length; index = (index + 1) % size) {
    const factor = factors[index] ?? 1;
    for (const end = at + inner; at < end; at++) scaled[at] = (values[at] ?? 0) * factor;
  }
  return { dtype: 'float32', shape, values: scaled };
}

export function bytesOf({ values }: Constant): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
