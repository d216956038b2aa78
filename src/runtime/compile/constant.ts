import { elementCount } from '../../common/tensor';
import { type Recipe } from './recipe';

/** Types that a compiled model computes with; texts stay with TensorFlow.js. */
export type ComputedType = 'float32' | 'int32' | 'bool';
/** Of 64 bits on the way from one step to the next, never in a model. */
export type Elements = Float32Array | Int32Array | Uint8Array | Float64Array;

/**
 * A tensor that is known when the model is compiled: weights, shapes, axes, and what was made of
 * them.
 *
 * It is its recipe. Elements are computed anew each time that they are read, which happens once for
 * those that the model keeps and never for those that went into others.
 */
export interface Constant {
  readonly dtype: ComputedType;
  readonly shape: readonly number[];
  readonly recipe: Recipe;
  readonly read: () => Elements;
}

/** A constant by value, for what is small and no weight. */
export function constantOf(
  dtype: ComputedType,
  shape: readonly number[],
  values: Iterable<number>,
): Constant {
  const elements = elementsOf(dtype, values);
  const data = Buffer.from(bytesOf(elements)).toString('base64');
  return { dtype, shape, recipe: { kind: 'given', dtype, shape, data }, read: () => elements };
}

export function floats(values: readonly number[]): Constant {
  return constantOf('float32', [values.length], values);
}

export function scalar(value: number, dtype: ComputedType = 'float32'): Constant {
  return constantOf(dtype, [], [value]);
}

/** One element over and over. */
export function filled(single: Constant, shape: readonly number[]): Constant {
  return {
    dtype: single.dtype,
    shape,
    recipe: { kind: 'filled', of: single.recipe, shape },
    read: () => {
      const [value = 0] = single.read();
      return elementsOf(single.dtype, new Array<number>(elementCount(shape)).fill(value));
    },
  };
}

export function reshaped(constant: Constant, shape: readonly number[]): Constant {
  const { recipe } = constant;
  const of = recipe.kind === 'reshaped' ? recipe.of : recipe;
  return { ...constant, shape, recipe: { kind: 'reshaped', of, shape } };
}

/** The same elements with axis `i` of the result being axis `permutation[i]` of the constant. */
export function permuted(constant: Constant, permutation: readonly number[]): Constant {
  const { dtype, shape, recipe } = constant;
  if (permutation.every((axis, index) => axis === index)) return constant;
  return {
    dtype,
    shape: permutation.map((axis) => shape[axis] ?? 1),
    recipe: { kind: 'permuted', of: recipe, permutation },
    read: () => permute(constant, permutation),
  };
}

export function elementsOf(dtype: ComputedType, values: Iterable<number>): Elements {
  return {
    float32: () => Float32Array.from(values),
    int32: () => Int32Array.from(values),
    bool: () => Uint8Array.from(values),
  }[dtype]();
}

export function bytesOf(elements: Elements): Uint8Array {
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
}

function permute({ shape, read }: Constant, permutation: readonly number[]): Elements {
  const values = read();
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
  return result;
}
