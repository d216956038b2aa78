import { NotCompiledError } from '../runtime.errors';
import { type Constant } from './constant';
import { add } from './elementwise';
import { type GraphBuilder } from './graph-builder';
import { absorbScaling } from './scaling';
import { axisOf, rankOf, type Value } from './value';
import { transpose } from './shapes';

/**
 * A dense layer: Gemm-13 for rows, MatMul-13 and Add-14 for anything with more axes.
 *
 * @param kernel `[features in, features out]`
 */
export function dense(
  b: GraphBuilder,
  x: Value,
  kernel: Constant,
  bias: Constant | undefined,
): Value {
  const plain = absorbScaling({ x, kernel, bias });
  return denseOf(b, plain.x, plain.kernel, plain.bias);
}

function denseOf(b: GraphBuilder, x: Value, kernel: Constant, bias: Constant | undefined): Value {
  const shape = [...x.shape.slice(0, -1), kernel.shape[1] ?? 1];
  if (rankOf(x) !== 2) {
    const name = b.emit('MatMul', 13, [b.last(x), b.weights(kernel)]);
    const product: Value = { dtype: 'float32', shape, names: { last: name } };
    return bias ? add(b, product, b.constant(bias)) : product;
  }
  const inputs = [b.last(x), b.weights(kernel), ...(bias ? [b.weights(bias)] : [])];
  const node = b.node('Gemm', 13, inputs);
  const linear = { node, weights: kernel, channelAxis: 1, bias };
  return { dtype: 'float32', shape, names: { last: node.outputs[0] ?? '' }, linear };
}

/** MatMul-13 of two tensors, any of them the other way round, batches broadcast. */
export function matMul(
  b: GraphBuilder,
  x: Value,
  y: Value,
  transposeX: boolean,
  transposeY: boolean,
): Value {
  const left = transposeX ? swapped(b, x) : x;
  const right = transposeY ? swapped(b, y) : y;
  const kernel = right.constant;
  if (kernel && rankOf(left) === 2 && rankOf(right) === 2) return dense(b, left, kernel, undefined);
  const name = b.emit('MatMul', 13, [b.last(left), b.last(right)]);
  const batch = batchOf(left.shape, right.shape);
  const shape = [...batch, left.shape.at(-2) ?? 1, right.shape.at(-1) ?? 1];
  return { dtype: x.dtype, shape, names: { last: name } };
}

/** Einsum-12. */
export function einsum(b: GraphBuilder, values: readonly Value[], equation: string): Value {
  // ONNX knows lower case and upper case letters alike, and so does the rule for the output.
  const [terms = '', result] = equation.replaceAll(' ', '').split('->');
  if (result === undefined || equation.includes('.')) {
    throw new NotCompiledError(`Einsum ${equation} is not compiled`);
  }
  const sizes = new Map<string, number>();
  terms.split(',').forEach((term, index) => {
    term.split('').forEach((letter, axis) => {
      sizes.set(letter, Math.max(sizes.get(letter) ?? -1, values[index]?.shape[axis] ?? -1));
    });
  });
  const name = b.emit(
    'Einsum',
    12,
    values.map((value) => b.last(value)),
    { equation: { text: equation } },
  );
  const shape = result.split('').map((letter) => sizes.get(letter) ?? -1);
  return { dtype: 'float32', shape, names: { last: name } };
}

function swapped(b: GraphBuilder, x: Value): Value {
  const rank = rankOf(x);
  const permutation = Array.from({ length: rank }, (_, axis) => axis);
  [permutation[rank - 2], permutation[rank - 1]] = [axisOf(-1, rank), axisOf(-2, rank)];
  return transpose(b, x, permutation);
}

function batchOf(x: readonly number[], y: readonly number[]): number[] {
  const [a, c] = [x.slice(0, -2), y.slice(0, -2)];
  const rank = Math.max(a.length, c.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = c[axis - rank + c.length] ?? 1;
    return left === 1 ? right : right === 1 ? left : Math.max(left, right);
  });
}
