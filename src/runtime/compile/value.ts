import { type ComputedType, type Constant } from './constant';
import { type OnnxNode } from './onnx-model';

/**
 * A tensor of the model that is being compiled, always thought of as TensorFlow has it: channels
 * last.
 *
 * ONNX convolves with the channels behind the batch. So a value has up to two names in the ONNX
 * graph, one per layout; the other is made by one transpose when somebody asks for it, and chains
 * of convolutions never do.
 */
export interface Value {
  readonly dtype: ComputedType;
  /** Sizes in TensorFlow's order, `-1` where they are open. The rank is always known. */
  readonly shape: readonly number[];
  readonly names: LayoutNames;
  readonly constant?: Constant;
  /** Of a list of whole numbers, e.g. a shape: what is known of it, `null` elsewhere. */
  readonly known?: readonly (number | null)[];
  /** What made it, as long as its output is linear in its weights. */
  readonly linear?: LinearOrigin;
  /** What it was before its channels were scaled and shifted. */
  readonly scaling?: Scaling;
}

/** The names are filled in as the layouts are asked for. */
export interface LayoutNames {
  last?: string;
  first?: string;
}

/** A convolution or matrix product into which a scale and a shift can still be folded. */
export interface LinearOrigin {
  readonly node: OnnxNode;
  readonly weights: Constant;
  /** The axis of `weights` that becomes the channels of the output. */
  readonly channelAxis: number;
  readonly bias: Constant | undefined;
}

/** A value by another one, for each index of the last axis a factor and a summand. */
export interface Scaling {
  /** Adds whatever nodes the other one takes. */
  readonly source: () => Value;
  /** Not rounded to float32 yet, as they may be combined with others. */
  readonly factors: Constant;
  readonly summands: Constant;
}

/** The outputs of an op, most of which have one. */
export function listed(outputs: Value | readonly Value[]): readonly Value[] {
  return 'names' in outputs ? [outputs] : outputs;
}

/** The same tensor, into whose origin nothing may be folded because others may use it too. */
export function withoutOrigin(value: Value): Value {
  const { dtype, shape, names, constant, known, scaling } = value;
  return {
    ...{ dtype, shape, names },
    ...(constant ? { constant } : {}),
    ...(known ? { known } : {}),
    ...(scaling ? { scaling } : {}),
  };
}

export function rankOf({ shape }: { readonly shape: readonly number[] }): number {
  return shape.length;
}

/** An axis counted from the start. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Where each axis of a channels-first tensor stands in TensorFlow's order. */
export function toFirst(rank: number): number[] {
  return [0, rank - 1, ...range(1, rank - 1)];
}

/** The inverse of `toFirst`. */
export function toLast(rank: number): number[] {
  return [0, ...range(2, rank), 1];
}

/** The index of one of TensorFlow's axes in a channels-first tensor. */
export function firstAxis(axis: number, rank: number): number {
  return toFirst(rank).indexOf(axis);
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
}
