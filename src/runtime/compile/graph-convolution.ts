import { NotCompiledError } from '../runtime.errors';
import { activate, leakyRelu, prelu } from './activations';
import { type Constant, scalar } from './constant';
import {
  convolve,
  convolveDepthwise,
  convolveTransposed,
  type Padding,
  type Window,
} from './convolutions';
import { add } from './elementwise';
import {
  assertChannelsLast,
  constantAt,
  inputAt,
  type NodeCall,
  type NodeCompiler,
} from './graph-node';
import { affine, normalization } from './normalization';
import { dense, matMul } from './products';
import { pool, type PoolKind } from './pooling';
import { knownOf } from './shapes';
import { type Value } from './value';

type Convolution = typeof convolve;

function convolution(compile: Convolution): NodeCompiler {
  return (call) => {
    assertChannelsLast(call);
    const kernel = constantAt(call, 1);
    return compile(call.b, inputAt(call, 0), kernel, undefined, windowOf(call));
  };
}

/** A convolution with what TensorFlow has put behind it: a bias and an activation. */
function fusedConvolution(compile: Convolution): NodeCompiler {
  return (call) => {
    assertChannelsLast(call);
    const kernel = constantAt(call, 1);
    return fused(call, (bias) => compile(call.b, inputAt(call, 0), kernel, bias, windowOf(call)));
  };
}

const backpropInput: NodeCompiler = (call) => {
  assertChannelsLast(call);
  const sizes = knownOf(inputAt(call, 0)).slice(1, -1);
  const kernel = constantAt(call, 1);
  const x = inputAt(call, 2);
  return convolveTransposed(
    call.b,
    x,
    kernel,
    undefined,
    windowOf(call),
    sizes.map((size) => size ?? -1),
  );
};

function pooling(kind: PoolKind): NodeCompiler {
  return (call) => {
    assertChannelsLast(call);
    const sizes = call.node.numbers('ksize').slice(1, -1);
    return pool(call.b, inputAt(call, 0), kind, sizes, windowOf(call));
  };
}

const fusedMatMul: NodeCompiler = (call) => {
  const { b, node } = call;
  const [x, y] = [inputAt(call, 0), inputAt(call, 1)];
  const turned = [node.flag('transpose_a'), node.flag('transpose_b')] as const;
  return fused(call, (bias) => {
    if (y.constant && x.shape.length === 2 && !turned[0] && !turned[1]) {
      return dense(b, x, y.constant, bias);
    }
    const product = matMul(b, x, y, ...turned);
    return bias ? add(b, product, b.constant(bias)) : product;
  });
};

const batchNorm: NodeCompiler = (call) => {
  assertChannelsLast(call);
  if (call.node.flag('is_training')) {
    throw new NotCompiledError(`${call.node.op} in training is not compiled`);
  }
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((index) => constantAt(call, index));
  if (!mean || !variance) throw new NotCompiledError(`${call.node.op} is not compiled so`);
  const rule = normalization(mean, variance, gamma, beta, call.node.number('epsilon', 1e-3));
  return [affine(call.b, inputAt(call, 0), rule, call.isOnlyUse(0))];
};

export const CONVOLUTION_OPS: Readonly<Record<string, NodeCompiler>> = {
  Conv2D: convolution(convolve),
  Conv3D: convolution(convolve),
  DepthwiseConv2dNative: convolution(convolveDepthwise),
  DepthwiseConv2d: convolution(convolveDepthwise),
  _FusedConv2D: fusedConvolution(convolve),
  FusedDepthwiseConv2dNative: fusedConvolution(convolveDepthwise),
  Conv2DBackpropInput: backpropInput,
  MaxPool: pooling('max'),
  MaxPool3D: pooling('max'),
  AvgPool: pooling('average'),
  AvgPool3D: pooling('average'),
  _FusedMatMul: fusedMatMul,
  FusedBatchNorm: batchNorm,
  FusedBatchNormV2: batchNorm,
  FusedBatchNormV3: batchNorm,
};

/** Applies the fused operations in their order; their arguments follow the two main inputs. */
function fused(call: NodeCall, compile: (bias: Constant | undefined) => Value): Value {
  const { b, node, inputs } = call;
  const names = node.texts('fused_ops').map((name) => name.toLowerCase());
  let at = 2;
  const hasBias = names[0] === 'biasadd';
  const bias = hasBias ? inputAt(call, at++) : undefined;
  let value = compile(bias?.constant);
  if (bias && !bias.constant) value = add(b, value, bias);
  for (const name of hasBias ? names.slice(1) : names) {
    if (name === 'leakyrelu') value = leakyRelu(b, value, node.number('leakyrelu_alpha', 0.2));
    else if (name === 'prelu') {
      value = prelu(b, value, inputs[at++] ?? b.constant(scalar(0)));
    } else if (name === 'fusedbatchnorm' || name === 'biasadd') {
      throw new NotCompiledError(`${node.op} with ${name} is not compiled`);
    } else value = activate(b, value, name);
  }
  return value;
}

function windowOf({ node }: NodeCall): Window {
  const strides = node.numbers('strides').slice(1, -1);
  const dilations = node.numbers('dilations').slice(1, -1);
  const ones = new Array<number>(strides.length).fill(1);
  return { strides, dilations: dilations.length > 0 ? dilations : ones, padding: paddingOf(node) };
}

function paddingOf(node: NodeCall['node']): Padding {
  const padding = node.text('padding').toLowerCase();
  if (padding === 'same' || padding === 'valid') return padding;
  if (padding !== 'explicit') {
    throw new NotCompiledError(`${node.op} with padding ${padding} is not compiled`);
  }
  const numbers = node.numbers('explicit_paddings');
  return Array.from({ length: numbers.length / 2 - 2 }, (_, axis) => [
    numbers[2 * axis + 2] ?? 0,
    numbers[2 * axis + 3] ?? 0,
  ]);
}
