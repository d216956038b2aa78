import { NotCompiledError } from '../runtime.errors';
import {
  convolve,
  convolveDepthwise,
  convolveTransposed,
  type Padding,
  type Window,
} from './convolutions';
import { activated, type LayerCompiler, type LayerConfig, onlyInput } from './layer-call';
import { resize } from './resize';
import { padBorders } from './shapes';
import { rankOf } from './value';

/** Conv1D, Conv2D and Conv3D: the rank of the input says which. */
const conv: LayerCompiler = (call) => {
  const { b, config, weights } = call;
  config.assertChannelsLast();
  const kernel = weights.get('kernel');
  const window = windowOf(config, kernel.shape.length - 2);
  return activated(call, convolve(b, onlyInput(call), kernel, weights.find('bias'), window));
};

const depthwise: LayerCompiler = (call) => {
  const { b, config, weights } = call;
  config.assertChannelsLast();
  const kernel = weights.get('depthwise_kernel');
  const window = windowOf(config, kernel.shape.length - 2);
  return activated(
    call,
    convolveDepthwise(b, onlyInput(call), kernel, weights.find('bias'), window),
  );
};

const separable: LayerCompiler = (call) => {
  const { b, config, weights } = call;
  config.assertChannelsLast();
  const [deep, wide] = [weights.get('depthwise_kernel'), weights.get('pointwise_kernel')];
  const spatial = deep.shape.length - 2;
  const ones = new Array<number>(spatial).fill(1);
  const single: Window = { strides: ones, dilations: ones, padding: 'valid' };
  const first = convolveDepthwise(b, onlyInput(call), deep, undefined, windowOf(config, spatial));
  return activated(call, convolve(b, first, wide, weights.find('bias'), single));
};

const transposed: LayerCompiler = (call) => {
  const { b, config, weights } = call;
  config.assertChannelsLast();
  const x = onlyInput(call);
  const kernel = weights.get('kernel');
  const window = windowOf(config, rankOf(x) - 2);
  const sizes = x.shape.slice(1, -1).map((size, axis) => {
    const stride = window.strides[axis] ?? 1;
    if (size < 0) return -1;
    const surplus = Math.max((kernel.shape[axis] ?? 1) - stride, 0);
    return size * stride + (window.padding === 'valid' ? surplus : 0);
  });
  return activated(call, convolveTransposed(b, x, kernel, weights.find('bias'), window, sizes));
};

const upSampling: LayerCompiler = (call) => {
  const { b, config } = call;
  config.assertChannelsLast();
  const x = onlyInput(call);
  const [down = 2, right = 2] = config.perAxis('size', 2, 2);
  const [, height = -1, width = -1] = x.shape;
  const method = config.text('interpolation', 'nearest');
  if (method !== 'nearest' && method !== 'bilinear') {
    throw new NotCompiledError(`UpSampling2D with ${method} is not compiled`);
  }
  const [toHeight, toWidth] = [height * Math.max(down, 0), width * Math.max(right, 0)];
  return resize(b, x, [toHeight, toWidth], {
    method,
    alignCorners: false,
    halfPixelCenters: false,
  });
};

const zeroPadding: LayerCompiler = (call) => {
  call.config.assertChannelsLast();
  const borders = call.config.borders('padding');
  return padBorders(call.b, onlyInput(call), [[0, 0], ...borders, [0, 0]]);
};

const cropping: LayerCompiler = (call) => {
  call.config.assertChannelsLast();
  const borders = call.config.borders('cropping').map(cutOff);
  return padBorders(call.b, onlyInput(call), [[0, 0], ...borders, [0, 0]]);
};

export const CONVOLUTION_LAYERS: Readonly<Record<string, LayerCompiler>> = {
  Conv1D: conv,
  Conv2D: conv,
  Conv3D: conv,
  DepthwiseConv2D: depthwise,
  SeparableConv2D: separable,
  Conv2DTranspose: transposed,
  Conv3DTranspose: transposed,
  UpSampling2D: upSampling,
  ZeroPadding2D: zeroPadding,
  Cropping2D: cropping,
};

function windowOf(config: LayerConfig, spatial: number): Window {
  return {
    strides: config.perAxis('strides', spatial, 1),
    dilations: config.perAxis('dilation_rate', spatial, 1),
    padding: paddingOf(config),
  };
}

export function paddingOf(config: LayerConfig): Padding {
  const padding = config.text('padding', 'valid').toLowerCase();
  if (padding === 'same' || padding === 'valid') return padding;
  throw new NotCompiledError(`${config.className} with padding ${padding} is not compiled`);
}

function cutOff([before, after]: readonly [number, number]): readonly [number, number] {
  return [before === 0 ? 0 : -before, after === 0 ? 0 : -after];
}
