import { NotCompiledError } from '../runtime.errors';
import { scalar } from './constant';
import { add, binary, isFirst, multiply, scale, unary } from './elementwise';
import { type GraphBuilder } from './graph-builder';
import { axisOf, firstAxis, rankOf, type Value } from './value';

type Activation = (b: GraphBuilder, x: Value) => Value;

/** Activations by the names of Keras, in snake case. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  linear: (_, x) => x,
  elu: (b, x) => elu(b, x, 1),
  relu: (b, x) => relu(b, x),
  relu6: (b, x) => clip(b, x, 0, 6),
  selu: (b, x) =>
    unary(b, ['Selu', 6], x, {
      alpha: { float: 1.6732632423543772 },
      gamma: { float: 1.0507009873554805 },
    }),
  sigmoid: (b, x) => sigmoid(b, x),
  hard_sigmoid: (b, x) =>
    unary(b, ['HardSigmoid', 6], x, { alpha: { float: 0.2 }, beta: { float: 0.5 } }),
  softmax: (b, x) => softmax(b, x, -1),
  log_softmax: (b, x) => logSoftmax(b, x, -1),
  softplus: (b, x) => unary(b, ['Softplus', 1], x),
  softsign: (b, x) => unary(b, ['Softsign', 1], x),
  tanh: (b, x) => tanh(b, x),
  swish: (b, x) => multiply(b, x, sigmoid(b, x)),
  silu: (b, x) => multiply(b, x, sigmoid(b, x)),
  mish: (b, x) => multiply(b, x, tanh(b, unary(b, ['Softplus', 1], x))),
  gelu: (b, x) => {
    const erf = unary(b, ['Erf', 13], scale(b, x, Math.SQRT1_2));
    return scale(b, multiply(b, x, add(b, erf, b.constant(scalar(1)))), 0.5);
  },
  gelu_new: (b, x) => {
    const cubed = multiply(b, x, multiply(b, x, x));
    const inner = scale(b, add(b, x, scale(b, cubed, 0.044715)), Math.sqrt(2 / Math.PI));
    return scale(b, multiply(b, x, add(b, tanh(b, inner), b.constant(scalar(1)))), 0.5);
  },
};

/** @throws NotCompiledError for an activation that is not among them */
export function activate(b: GraphBuilder, x: Value, name: string): Value {
  const known = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (!known) throw new NotCompiledError(`Activation ${name} is not compiled`);
  return known(b, x);
}

export function relu(b: GraphBuilder, x: Value): Value {
  return unary(b, ['Relu', 14], x);
}

export function sigmoid(b: GraphBuilder, x: Value): Value {
  return unary(b, ['Sigmoid', 13], x);
}

export function tanh(b: GraphBuilder, x: Value): Value {
  return unary(b, ['Tanh', 13], x);
}

export function elu(b: GraphBuilder, x: Value, alpha: number): Value {
  return unary(b, ['Elu', 6], x, { alpha: { float: alpha } });
}

export function leakyRelu(b: GraphBuilder, x: Value, alpha: number): Value {
  return unary(b, ['LeakyRelu', 16], x, { alpha: { float: alpha } });
}

/** Clip-13. */
export function clip(b: GraphBuilder, x: Value, low: number, high: number): Value {
  const layout = isFirst(x) ? 'first' : 'last';
  const bounds = [low, high].map((bound) => b.last(b.constant(scalar(bound, x.dtype))));
  const name = b.emit('Clip', 13, [b[layout](x), ...bounds]);
  return { dtype: x.dtype, shape: x.shape, names: { [layout]: name } };
}

export function prelu(b: GraphBuilder, x: Value, slope: Value): Value {
  return binary(b, ['PRelu', 16], x, slope);
}

export function softmax(b: GraphBuilder, x: Value, axis: number): Value {
  return alongAxis(b, 'Softmax', x, axis);
}

export function logSoftmax(b: GraphBuilder, x: Value, axis: number): Value {
  return alongAxis(b, 'LogSoftmax', x, axis);
}

/** Softmax-13, LogSoftmax-13. */
function alongAxis(b: GraphBuilder, op: string, x: Value, axis: number): Value {
  const rank = rankOf(x);
  const counted = axisOf(axis, rank);
  const at = isFirst(x) ? firstAxis(counted, rank) : counted;
  return unary(b, [op, 13], x, { axis: { int: at } });
}
