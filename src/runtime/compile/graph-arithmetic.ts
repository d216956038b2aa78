import { NotCompiledError } from '../runtime.errors';
import { activate, clip, elu, leakyRelu, logSoftmax, prelu, softmax } from './activations';
import { type Constant, filled, scalar } from './constant';
import { isEvery, negated, reciprocal, rounded, spread } from './constant-steps';
import { add, binary, cast, isFirst, multiply, nary, type Operator, unary } from './elementwise';
import { type GraphBuilder } from './graph-builder';
import { inputAt, type NodeCall, type NodeCompiler, numberAt, numbersAt } from './graph-node';
import { affine, isPerChannel } from './normalization';
import { einsum, matMul } from './products';
import { argReduce, type Reduction, reduce } from './reductions';
import { resize, type ResizeRule } from './resize';
import { withScaling } from './scaling';
import { gather, gatherNd, oneHot, topK } from './selection';
import { knownOf } from './shapes';
import { type Value } from './value';

function each(op: string, since: number): NodeCompiler {
  return (call) => unary(call.b, [op, since], inputAt(call, 0));
}

function activation(name: string): NodeCompiler {
  return (call) => activate(call.b, inputAt(call, 0), name);
}

function pair(op: string, since: number): NodeCompiler {
  return (call) => binary(call.b, [op, since], inputAt(call, 0), inputAt(call, 1));
}

function compare(op: string, since: number): NodeCompiler {
  return (call) => binary(call.b, [op, since], inputAt(call, 0), inputAt(call, 1), 'bool');
}

type Scaler = 'Add' | 'Sub' | 'Mul' | 'Div';

/** Sums and products with a constant per channel go into the convolution before or behind them. */
function foldable(op: Scaler): NodeCompiler {
  return (call) => {
    const [x, y] = [inputAt(call, 0), inputAt(call, 1)];
    const isEitherWay = op === 'Add' || op === 'Mul';
    return (
      scaledBy(call, op, 0, x, y) ??
      (isEitherWay ? scaledBy(call, op, 1, y, x) : null) ??
      binary(call.b, [op, 14], x, y)
    );
  };
}

function scaledBy(
  { b, isOnlyUse }: NodeCall,
  op: Scaler,
  index: number,
  x: Value,
  y: Value,
): Value | null {
  const { constant } = y;
  const channels = x.shape.at(-1) ?? -1;
  if (x.constant || !constant || !isPerChannel(constant, x) || channels < 0) return null;
  const given = spread(constant, channels);
  const [zeros, ones] = [0, 1].map((value) => filled(scalar(value), [channels]));
  if (!zeros || !ones) return null;
  const factors = op === 'Mul' ? given : op === 'Div' ? reciprocal(given) : ones;
  const summands = op === 'Add' ? given : op === 'Sub' ? negated(given) : zeros;
  if (x.linear && isOnlyUse(index) && op !== 'Div') {
    const rule = { factors: rounded(factors), summands: rounded(summands) };
    return affine(b, x, rule, true);
  }
  return summed(b, op, x, summands) ?? withScaling(x, binary(b, [op, 14], x, y), factors, summands);
}

/** A product and a sum behind it, which are a batch normalisation in two steps. */
function summed(b: GraphBuilder, op: Scaler, { scaling }: Value, summands: Constant): Value | null {
  if (op !== 'Add' && op !== 'Sub') return null;
  if (!scaling || !isEvery(scaling.summands, (summand) => summand === 0)) return null;
  const source = scaling.source();
  if (!isFirst(source)) return null;
  const rule = { factors: rounded(scaling.factors), summands: rounded(summands) };
  return affine(b, source, rule, false);
}

/** Quotients of whole numbers are rounded down, ONNX cuts them off; Mod-13, Sub-14, Div-14. */
const floorDiv: NodeCompiler = (call) => {
  const { b, node } = call;
  const [x, y] = [inputAt(call, 0), inputAt(call, 1)];
  if (x.dtype !== 'int32') throw new NotCompiledError(`${node.op} of fractions is not compiled`);
  const rest = binary(b, ['Mod', 13], x, y);
  return binary(b, ['Div', 14], binary(b, ['Sub', 14], x, rest), y);
};

const divide: NodeCompiler = (call) =>
  inputAt(call, 0).dtype === 'int32' ? floorDiv(call) : pair('Div', 14)(call);

const mod: NodeCompiler = (call) => {
  if (inputAt(call, 0).dtype !== 'int32') {
    throw new NotCompiledError(`${call.node.op} of fractions is not compiled`);
  }
  return pair('Mod', 13)(call);
};

const square: NodeCompiler = (call) => multiply(call.b, inputAt(call, 0), inputAt(call, 0));

const squaredDifference: NodeCompiler = (call) => {
  const difference = binary(call.b, ['Sub', 14], inputAt(call, 0), inputAt(call, 1));
  return multiply(call.b, difference, difference);
};

const biasAdd: NodeCompiler = (call) => foldable('Add')(call);

/** Where-16; the older Select picks whole rows by a list. */
const select: NodeCompiler = (call) => {
  const [condition, x, y] = [inputAt(call, 0), inputAt(call, 1), inputAt(call, 2)];
  if (call.node.op === 'Select' && condition.shape.length !== x.shape.length) {
    throw new NotCompiledError('Select by rows is not compiled');
  }
  return nary(call.b, ['Where', 16], [condition, x, y], x.dtype);
};

function reduction(kind: Reduction): NodeCompiler {
  return (call) => {
    const { node } = call;
    const keeps = node.flag('keep_dims') || node.flag('keepDims');
    return reduce(call.b, inputAt(call, 0), kind, numbersAt(call, 1), keeps);
  };
}

/** Truth has no order in ONNX, so any and all are taken of numbers. */
function truthReduction(kind: 'Max' | 'Min'): NodeCompiler {
  return (call) => {
    const numbers = cast(call.b, inputAt(call, 0), 'int32');
    const keeps = call.node.flag('keep_dims');
    return cast(call.b, reduce(call.b, numbers, kind, numbersAt(call, 1), keeps), 'bool');
  };
}

function argument(op: 'ArgMax' | 'ArgMin'): NodeCompiler {
  return (call) => argReduce(call.b, inputAt(call, 0), op, numberAt(call, 1));
}

function resizing(method: ResizeRule['method']): NodeCompiler {
  return (call) => {
    const [height = null, width = null] = knownOf(inputAt(call, 1));
    if (height === null || width === null) {
      throw new NotCompiledError(`${call.node.op} to computed sizes is not compiled`);
    }
    const x = cast(call.b, inputAt(call, 0), 'float32');
    return resize(call.b, x, [height, width], {
      method,
      alignCorners: call.node.flag('align_corners'),
      halfPixelCenters: call.node.flag('half_pixel_centers'),
    });
  };
}

const product: NodeCompiler = (call) => {
  const { node, b } = call;
  const turned = (a: string, c: string): boolean => node.flag(a) || node.flag(c);
  return matMul(
    b,
    inputAt(call, 0),
    inputAt(call, 1),
    turned('transpose_a', 'adj_x'),
    turned('transpose_b', 'adj_y'),
  );
};

const gatherAlong: NodeCompiler = (call) => {
  if (call.node.number('batch_dims') !== 0) {
    throw new NotCompiledError('Gather within batches is not compiled');
  }
  const axis = call.inputs.length > 2 ? numberAt(call, 2) : 0;
  return gather(call.b, inputAt(call, 0), cast(call.b, inputAt(call, 1), 'int32'), axis);
};

const rsqrt: NodeCompiler = (call) =>
  unary(call.b, ['Reciprocal', 13], unary(call.b, ['Sqrt', 13], inputAt(call, 0)));

const oneHotRows: NodeCompiler = (call) => {
  const { b, node } = call;
  const [indices, depth] = [inputAt(call, 0), numberAt(call, 1)];
  const offAndOn = [numberAt(call, 3), numberAt(call, 2)] as const;
  const rows = oneHot(b, indices, depth, offAndOn, node.number('axis', -1));
  return cast(b, rows, inputAt(call, 2).dtype);
};

const COMPARISONS: Readonly<Record<string, Operator>> = {
  Equal: ['Equal', 13],
  Greater: ['Greater', 13],
  GreaterEqual: ['GreaterOrEqual', 16],
  Less: ['Less', 13],
  LessEqual: ['LessOrEqual', 16],
  LogicalAnd: ['And', 7],
  LogicalOr: ['Or', 7],
};

export const ARITHMETIC_OPS: Readonly<Record<string, NodeCompiler>> = {
  ...Object.fromEntries(
    Object.entries(COMPARISONS).map(([name, [op, since]]) => [name, compare(op, since)]),
  ),
  NotEqual: (call) => unary(call.b, ['Not', 1], compare('Equal', 13)(call) as Value),
  LogicalNot: each('Not', 1),
  IsNan: (call) => unary(call.b, ['IsNaN', 13], inputAt(call, 0), {}, 'bool'),
  Add: foldable('Add'),
  AddV2: foldable('Add'),
  BiasAdd: biasAdd,
  Sub: foldable('Sub'),
  Mul: foldable('Mul'),
  AddN: ({ b, inputs }) => inputs.reduce((sum, value) => add(b, sum, value)),
  RealDiv: foldable('Div'),
  Div: divide,
  FloorDiv: floorDiv,
  FloorMod: mod,
  Mod: mod,
  Maximum: pair('Max', 13),
  Minimum: pair('Min', 13),
  Pow: pair('Pow', 15),
  SquaredDifference: squaredDifference,
  Square: square,
  Abs: each('Abs', 13),
  Ceil: each('Ceil', 13),
  Floor: each('Floor', 13),
  Round: each('Round', 11),
  Neg: each('Neg', 13),
  Sign: each('Sign', 13),
  Exp: each('Exp', 13),
  Log: each('Log', 13),
  Sqrt: each('Sqrt', 13),
  Rsqrt: rsqrt,
  Reciprocal: each('Reciprocal', 13),
  Erf: each('Erf', 13),
  Sin: each('Sin', 7),
  Cos: each('Cos', 7),
  Tan: each('Tan', 7),
  Acos: each('Acos', 7),
  Asin: each('Asin', 7),
  Atan: each('Atan', 7),
  Cosh: each('Cosh', 9),
  Sinh: each('Sinh', 9),
  Relu: activation('relu'),
  Relu6: activation('relu6'),
  Selu: activation('selu'),
  Sigmoid: activation('sigmoid'),
  Tanh: activation('tanh'),
  Softplus: activation('softplus'),
  Elu: (call) => elu(call.b, inputAt(call, 0), 1),
  LeakyRelu: (call) => leakyRelu(call.b, inputAt(call, 0), call.node.number('alpha', 0.2)),
  Prelu: (call) => prelu(call.b, inputAt(call, 0), inputAt(call, 1)),
  ClipByValue: (call) => clip(call.b, inputAt(call, 0), numberAt(call, 1), numberAt(call, 2)),
  Softmax: (call) => softmax(call.b, inputAt(call, 0), -1),
  LogSoftmax: (call) => logSoftmax(call.b, inputAt(call, 0), -1),
  Select: select,
  SelectV2: select,
  Mean: reduction('Mean'),
  Sum: reduction('Sum'),
  Max: reduction('Max'),
  Min: reduction('Min'),
  Prod: reduction('Prod'),
  All: truthReduction('Min'),
  Any: truthReduction('Max'),
  ArgMax: argument('ArgMax'),
  ArgMin: argument('ArgMin'),
  ResizeBilinear: resizing('bilinear'),
  ResizeNearestNeighbor: resizing('nearest'),
  MatMul: product,
  BatchMatMul: product,
  BatchMatMulV2: product,
  Einsum: ({ b, node, inputs }) => einsum(b, inputs, node.text('equation')),
  Gather: gatherAlong,
  GatherV2: gatherAlong,
  GatherNd: (call) => gatherNd(call.b, inputAt(call, 0), inputAt(call, 1)),
  TopKV2: (call) => topK(call.b, inputAt(call, 0), numberAt(call, 1)),
  OneHot: oneHotRows,
};
