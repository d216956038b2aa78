import { elementCount } from '../../common/tensor';
import { NotCompiledError } from '../runtime.errors';
import { type Constant, permuted, reshaped } from './constant';
import { type GraphBuilder } from './graph-builder';
import { type OnnxAttributes } from './onnx-model';
import { absorbScaling } from './scaling';
import { range, rankOf, type Value } from './value';

/** How a window moves, one number per spatial axis. */
export interface Window {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padding: Padding;
}
/** By rule, or `[before, after]` per spatial axis. */
export type Padding = 'same' | 'valid' | readonly (readonly [number, number])[];

/**
 * Conv-11, for images, sequences and volumes alike.
 *
 * @param kernel `[...sizes, channels in, channels out]`
 */
export function convolve(
  b: GraphBuilder,
  x: Value,
  kernel: Constant,
  bias: Constant | undefined,
  window: Window,
): Value {
  const rank = rankOf(x);
  assertRank(rank, kernel);
  const sizes = kernel.shape.slice(0, rank - 2);
  const plain = absorbScaling({ x, kernel, bias }, isPadded(x, sizes, window));
  const weights = permuted(plain.kernel, [rank - 1, rank - 2, ...range(0, rank - 2)]);
  const [channels = -1, perGroup = -1] = [x.shape[rank - 1], kernel.shape[rank - 2]];
  const groups = channels < 0 ? 1 : channels / perGroup;
  return conv(b, plain.x, weights, plain.bias, window, groups);
}

/**
 * Conv-11 with a group per channel.
 *
 * @param kernel `[...sizes, channels, multiplier]`; the output has channels times multiplier
 */
export function convolveDepthwise(
  b: GraphBuilder,
  x: Value,
  kernel: Constant,
  bias: Constant | undefined,
  window: Window,
): Value {
  const rank = rankOf(x);
  assertRank(rank, kernel);
  const sizes = kernel.shape.slice(0, rank - 2);
  const channels = kernel.shape[rank - 2] ?? 1;
  const byChannel = permuted(kernel, [rank - 2, rank - 1, ...range(0, rank - 2)]);
  const weights = reshaped(byChannel, [elementCount(kernel.shape.slice(-2)), 1, ...sizes]);
  return conv(b, x, weights, bias, window, channels);
}

/**
 * ConvTranspose-11, the gradient of a convolution, which upsamples.
 *
 * @param kernel `[...sizes, channels out, channels in]`
 * @param sizes of the output along the spatial axes
 */
export function convolveTransposed(
  b: GraphBuilder,
  x: Value,
  kernel: Constant,
  bias: Constant | undefined,
  { strides, dilations, padding }: Window,
  sizes: readonly number[],
): Value {
  const rank = rankOf(x);
  assertRank(rank, kernel);
  const input = x.shape.slice(1, -1);
  if ([...input, ...sizes].some((size) => size < 0) || dilations.some((step) => step !== 1)) {
    throw new NotCompiledError('Transposed convolutions of open sizes are not compiled');
  }
  // What the forward convolution would pad, the gradient cuts off.
  const pads = sizes.map((size, axis) =>
    pad(padding, axis, size, kernel.shape[axis] ?? 1, strides[axis] ?? 1, 1),
  );
  // What the last steps of the forward convolution left over comes back as zeros.
  const surplus = sizes.map((size, axis) => {
    const [before, after] = pads[axis] ?? [0, 0];
    const full = (strides[axis] ?? 1) * ((input[axis] ?? 1) - 1) + (kernel.shape[axis] ?? 1);
    return size - (full - before - after);
  });
  if (surplus.some((size, axis) => size < 0 || size >= (strides[axis] ?? 1))) {
    throw new NotCompiledError('A transposed convolution to these sizes is not compiled');
  }
  const weights = permuted(kernel, [rank - 1, rank - 2, ...range(0, rank - 2)]);
  const inputs = [b.first(x), b.weights(weights), ...(bias ? [b.weights(bias)] : [])];
  const node = b.node('ConvTranspose', 11, inputs, {
    strides: { ints: strides },
    pads: { ints: [...pads.map(([before]) => before), ...pads.map(([, after]) => after)] },
    output_padding: { ints: surplus },
  });
  const shape = [x.shape[0] ?? -1, ...sizes, kernel.shape[rank - 2] ?? 1];
  const linear = { node, weights, channelAxis: 1, bias };
  return { dtype: x.dtype, shape, names: { first: node.outputs[0] ?? '' }, linear };
}

/** The padding attributes of a window, left to the runtime where sizes are open. */
export function windowAttributes(
  x: Value,
  sizes: readonly number[],
  { strides, dilations, padding }: Window,
): OnnxAttributes {
  const spatial = x.shape.slice(1, -1);
  const steps = { strides: { ints: strides }, dilations: { ints: dilations } };
  if (padding === 'same' && spatial.some((size) => size < 0)) {
    return { ...steps, auto_pad: { text: 'SAME_UPPER' } };
  }
  const pads = spatial.map((size, axis) =>
    pad(padding, axis, size, sizes[axis] ?? 1, strides[axis] ?? 1, dilations[axis] ?? 1),
  );
  return {
    ...steps,
    pads: { ints: [...pads.map(([before]) => before), ...pads.map(([, after]) => after)] },
  };
}

/** Whether some places of a window may lie beside the input. */
function isPadded(x: Value, sizes: readonly number[], window: Window): boolean {
  const { pads } = windowAttributes(x, sizes, window);
  return !pads || !('ints' in pads) || pads.ints.some((pad) => pad !== 0);
}

/** How many places a window has along each spatial axis. */
export function windowPlaces(
  x: Value,
  sizes: readonly number[],
  { strides, dilations, padding }: Window,
): number[] {
  return x.shape.slice(1, -1).map((size, axis) => {
    if (size < 0) return -1;
    const [stride, step] = [strides[axis] ?? 1, dilations[axis] ?? 1];
    const width = ((sizes[axis] ?? 1) - 1) * step + 1;
    const [before, after] = pad(padding, axis, size, sizes[axis] ?? 1, stride, step);
    return Math.floor((size + before + after - width) / stride) + 1;
  });
}

function conv(
  b: GraphBuilder,
  x: Value,
  weights: Constant,
  bias: Constant | undefined,
  window: Window,
  groups: number,
): Value {
  const sizes = weights.shape.slice(2);
  const inputs = [b.first(x), b.weights(weights), ...(bias ? [b.weights(bias)] : [])];
  const node = b.node('Conv', 11, inputs, {
    kernel_shape: { ints: sizes },
    group: { int: groups },
    ...windowAttributes(x, sizes, window),
  });
  const shape = [x.shape[0] ?? -1, ...windowPlaces(x, sizes, window), weights.shape[0] ?? 1];
  const linear = { node, weights, channelAxis: 0, bias };
  return { dtype: x.dtype, shape, names: { first: node.outputs[0] ?? '' }, linear };
}

/** TensorFlow's rule: as many places as strides fit, what is missing split with the odd one after. */
function pad(
  padding: Padding,
  axis: number,
  size: number,
  kernel: number,
  stride: number,
  dilation: number,
): readonly [number, number] {
  if (padding === 'valid') return [0, 0];
  if (padding !== 'same') return padding[axis] ?? [0, 0];
  const width = (kernel - 1) * dilation + 1;
  const total = Math.max((Math.ceil(size / stride) - 1) * stride + width - size, 0);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

function assertRank(rank: number, kernel: Constant): void {
  if (rank < 3 || kernel.shape.length !== rank) {
    throw new NotCompiledError(
      `A convolution of ${rank} axes with a kernel of ${kernel.shape.length} is not compiled`,
    );
  }
}
