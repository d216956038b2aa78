import { elementCount } from '../../common/tensor';
import { type Constant, filled, scalar } from './constant';
import { normFactors, normSummands, scaledAlong, shifted } from './constant-steps';
import { add, isFirst, multiply } from './elementwise';
import { type GraphBuilder } from './graph-builder';
import { withScaling } from './scaling';
import { type LinearOrigin, rankOf, type Value } from './value';

/** What a batch normalisation does once it is trained: a factor and a summand per channel. */
export interface Affine {
  readonly factors: Constant;
  readonly summands: Constant;
}

/** The statistics and parameters of a batch normalisation, as one factor and summand per channel. */
export function normalization(
  mean: Constant,
  variance: Constant,
  gamma: Constant | undefined,
  beta: Constant | undefined,
  epsilon: number,
): Affine {
  const parts = { mean, variance, gamma, beta, epsilon };
  return { factors: normFactors(parts), summands: normSummands(parts) };
}

/**
 * Scales and shifts the channels, inside the convolution or product that made them where nothing
 * else uses its output.
 */
export function affine(
  b: GraphBuilder,
  x: Value,
  { factors, summands }: Affine,
  isOnlyUse: boolean,
): Value {
  if (x.linear && isOnlyUse) return folded(b, x, x.linear, factors, summands);
  const result = isFirst(x)
    ? normalized(b, x, factors, summands)
    : add(b, multiply(b, x, b.constant(factors)), b.constant(summands));
  return withScaling(x, result, factors, summands);
}

/**
 * BatchNormalization-15 of channels behind the batch.
 *
 * ONNX Runtime leaves an image in its own layout for it, which it gives up for a plain sum.
 */
function normalized(b: GraphBuilder, x: Value, factors: Constant, summands: Constant): Value {
  const [zeros, ones] = [0, 1].map((value) => b.weights(filled(scalar(value), factors.shape)));
  const inputs = [b.first(x), b.weights(factors), b.weights(summands), zeros ?? '', ones ?? ''];
  const name = b.emit('BatchNormalization', 15, inputs, { epsilon: { float: 0 } });
  return { dtype: x.dtype, shape: x.shape, names: { first: name } };
}

/** LayerNormalization-17 over the last axis. */
export function layerNormalization(
  b: GraphBuilder,
  x: Value,
  gamma: Constant | undefined,
  beta: Constant | undefined,
  epsilon: number,
): Value {
  const size = x.shape.at(-1) ?? 1;
  const ones = gamma ?? filled(scalar(1), [size]);
  const inputs = [b.last(x), b.weights(ones), ...(beta ? [b.weights(beta)] : [])];
  const name = b.emit('LayerNormalization', 17, inputs, {
    axis: { int: rankOf(x) - 1 },
    epsilon: { float: epsilon },
  });
  return { dtype: 'float32', shape: x.shape, names: { last: name } };
}

/** Whether a constant is one number, or one per channel of a value. */
export function isPerChannel({ shape }: Constant, x: Value): boolean {
  const channels = x.shape.at(-1) ?? -1;
  const count = elementCount(shape);
  return (
    shape.length <= rankOf(x) &&
    count === (shape.at(-1) ?? 1) &&
    (count === 1 || count === channels)
  );
}

function folded(
  b: GraphBuilder,
  x: Value,
  { node, weights, channelAxis, bias }: LinearOrigin,
  factors: Constant,
  summands: Constant,
): Value {
  const scaled = scaledAlong(weights, channelAxis, factors);
  const moved = shifted(bias, factors, summands);
  node.inputs = [node.inputs[0] ?? '', b.weights(scaled), b.weights(moved)];
  return { ...x, linear: { node, weights: scaled, channelAxis, bias: moved } };
}
