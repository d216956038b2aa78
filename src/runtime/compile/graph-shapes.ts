import { elementCount } from '../../common/tensor';
import { NotCompiledError } from '../runtime.errors';
import { constantOf, filled } from './constant';
import { cast } from './elementwise';
import { inputAt, type NodeCall, type NodeCompiler, numberAt, numbersAt } from './graph-node';
import {
  concat,
  type Cut,
  knownOf,
  padBorders,
  reshapeTo,
  shapeOf,
  slice,
  split,
  squeeze,
  tile,
  TO_END,
  transpose,
  unsqueeze,
} from './shapes';
import { axisOf, rankOf, type Value } from './value';

const identity: NodeCompiler = (call) => inputAt(call, 0);

const pack: NodeCompiler = ({ b, node, inputs }) => {
  const axis = node.number('axis');
  return concat(
    b,
    inputs.map((value) => unsqueeze(b, value, [axis])),
    axis,
  );
};

const unpack: NodeCompiler = (call) => {
  const { b, node } = call;
  const x = inputAt(call, 0);
  const axis = axisOf(node.number('axis'), rankOf(x));
  const count = node.number('num', x.shape[axis] ?? -1);
  const pieces = split(b, x, axis, new Array<number>(count).fill(1));
  return pieces.map((piece) => squeeze(b, piece, [axis]));
};

const concatenate: NodeCompiler = (call) => {
  const { b, node, inputs } = call;
  const isFirst = node.op === 'Concat';
  const axis = numberAt(call, isFirst ? 0 : inputs.length - 1);
  const values = isFirst ? inputs.slice(1) : inputs.slice(0, -1);
  // Empty pieces have any shape at all.
  return concat(
    b,
    values.filter(({ shape }) => elementCount(shape) !== 0),
    axis,
  );
};

/** The bits of a mask say for each position of the slice what is special about it. */
const stridedSlice: NodeCompiler = (call) => {
  const { b, node } = call;
  const x = inputAt(call, 0);
  const [begin, end, steps] = [numbersAt(call, 1), numbersAt(call, 2), numbersAt(call, 3)];
  const has = (mask: string, position: number): boolean =>
    (node.number(mask) & (1 << position)) !== 0;
  const taken = begin.filter(
    (_, position) => !has('new_axis_mask', position) && !has('ellipsis_mask', position),
  ).length;
  const cuts: Cut[] = [];
  const dropped: number[] = [];
  const added: number[] = [];
  let axis = 0;
  let place = 0;
  begin.forEach((from, position) => {
    if (has('ellipsis_mask', position)) {
      const rest = rankOf(x) - taken;
      axis += rest;
      place += rest;
      return;
    }
    if (has('new_axis_mask', position)) {
      added.push(place++);
      return;
    }
    const step = steps[position] ?? 1;
    if (has('shrink_axis_mask', position)) {
      // The last element cannot be named by its neighbour after it.
      cuts.push({ axis, from, to: from === -1 ? TO_END : from + 1, step: 1 });
      dropped.push(axis++);
      return;
    }
    const start = has('begin_mask', position) ? (step > 0 ? 0 : TO_END) : from;
    const openEnd = step > 0 ? TO_END : -TO_END;
    cuts.push({
      axis,
      from: start,
      to: has('end_mask', position) ? openEnd : (end[position] ?? TO_END),
      step,
    });
    axis++;
    place++;
  });
  const cut = slice(b, x, cuts);
  const fewer = dropped.length > 0 ? squeeze(b, cut, dropped) : cut;
  return added.length > 0 ? unsqueeze(b, fewer, added) : fewer;
};

const slicing: NodeCompiler = (call) => {
  const [begin, sizes] = [numbersAt(call, 1), numbersAt(call, 2)];
  const cuts = begin.map((from, axis): Cut => {
    const size = sizes[axis] ?? -1;
    return { axis, from, to: size < 0 ? TO_END : from + size, step: 1 };
  });
  return slice(call.b, inputAt(call, 0), cuts);
};

const splitting: NodeCompiler = (call) => {
  const { b, node } = call;
  const isSized = node.op === 'SplitV';
  const x = inputAt(call, isSized ? 0 : 1);
  const axis = axisOf(numberAt(call, isSized ? 2 : 0), rankOf(x));
  const size = x.shape[axis] ?? -1;
  const count = node.number('num_split', 1);
  if (size < 0) throw new NotCompiledError(`${node.op} of an open size is not compiled`);
  const sizes = isSized ? numbersAt(call, 1) : new Array<number>(count).fill(size / count);
  const rest = size - elementSum(sizes.filter((piece) => piece >= 0));
  return split(
    b,
    x,
    axis,
    sizes.map((piece) => (piece < 0 ? rest : piece)),
  );
};

const padding: NodeCompiler = (call) => {
  const { b, node, inputs } = call;
  const flat = numbersAt(call, 1);
  const borders = Array.from({ length: flat.length / 2 }, (_, axis): [number, number] => [
    flat[2 * axis] ?? 0,
    flat[2 * axis + 1] ?? 0,
  ]);
  if (node.op !== 'MirrorPad') {
    const constant = inputs.length > 2 ? numberAt(call, 2) : 0;
    return padBorders(b, inputAt(call, 0), borders, { constant });
  }
  if (node.text('mode').toLowerCase() !== 'reflect') {
    throw new NotCompiledError('MirrorPad other than by reflection is not compiled');
  }
  return padBorders(b, inputAt(call, 0), borders, 'reflect');
};

/** Expand-13: from one value to sizes that may be computed. */
function expanded({ b }: NodeCall, x: Value, sizes: Value): Value {
  const shape = knownOf(sizes).map((size) => size ?? -1);
  const list = b.emit('Cast', 13, [b.last(sizes)], { to: { int: 7 } });
  const name = b.emit('Expand', 13, [b.last(x), list]);
  return { dtype: x.dtype, shape, names: { last: name } };
}

/** Small enough to be written out; larger ones are left to the runtime. */
const MOST_WRITTEN_OUT = 4096;

const fill: NodeCompiler = (call) => {
  const [sizes, value] = [inputAt(call, 0), inputAt(call, 1)];
  const known = sizes.constant ? [...sizes.constant.read()] : [];
  const count = elementCount(known);
  if (!sizes.constant || !value.constant || count > MOST_WRITTEN_OUT) {
    return expanded(call, value, sizes);
  }
  return call.b.constant(filled(value.constant, known));
};

const rangeOp: NodeCompiler = (call) => {
  const [start, stop, step] = [numberAt(call, 0), numberAt(call, 1), numberAt(call, 2)];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MOST_WRITTEN_OUT)) throw new NotCompiledError('A long Range is not compiled');
  const values = Array.from({ length: count }, (_, index) => start + index * step);
  return call.b.constant(constantOf(inputAt(call, 0).dtype, [count], values));
};

export const SHAPE_OPS: Readonly<Record<string, NodeCompiler>> = {
  Identity: identity,
  Snapshot: identity,
  StopGradient: identity,
  PreventGradient: identity,
  CheckNumerics: identity,
  IdentityN: ({ inputs }) => inputs,
  Cast: (call) => cast(call.b, inputAt(call, 0), call.node.type('DstT')),
  Reshape: (call) => reshapeTo(call.b, inputAt(call, 0), inputAt(call, 1)),
  Squeeze: (call) => {
    const axes = call.node.numbers('squeeze_dims');
    const renamed = axes.length > 0 ? axes : call.node.numbers('axis');
    return squeeze(call.b, inputAt(call, 0), renamed);
  },
  ExpandDims: (call) => unsqueeze(call.b, inputAt(call, 0), [numberAt(call, 1)]),
  Transpose: (call) => transpose(call.b, inputAt(call, 0), numbersAt(call, 1)),
  Concat: concatenate,
  ConcatV2: concatenate,
  Pack: pack,
  Unpack: unpack,
  StridedSlice: stridedSlice,
  Slice: slicing,
  Split: splitting,
  SplitV: splitting,
  Pad: padding,
  PadV2: padding,
  MirrorPad: padding,
  Tile: (call) => tile(call.b, inputAt(call, 0), numbersAt(call, 1)),
  Shape: (call) => shapeOf(call.b, inputAt(call, 0)),
  Fill: fill,
  BroadcastTo: (call) => expanded(call, inputAt(call, 0), inputAt(call, 1)),
  Range: rangeOp,
};

function elementSum(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
