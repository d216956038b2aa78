import assert from 'node:assert';

import { elementCount } from '../../common/tensor';
import { NotCompiledError } from '../runtime.errors';
import { constantOf, permuted, reshaped, scalar } from './constant';
import { isFirst } from './elementwise';
import { type GraphBuilder } from './graph-builder';
import { withScalingOf, withScalingOfAll } from './scaling';
import { axisOf, firstAxis, range, rankOf, type Value } from './value';

/** A shape to come: sizes that are known, `null` for those that only a run knows. */
export type KnownShape = readonly (number | null)[];

/**
 * Reshape-14 to sizes of which at most one is open; `-1` is worked out, here where it can be.
 */
export function reshape(b: GraphBuilder, x: Value, sizes: readonly number[]): Value {
  const count = x.shape.some((size) => size < 0) ? -1 : elementCount(x.shape);
  const rest = elementCount(sizes.filter((size) => size >= 0));
  const shape = sizes.map((size) => (size < 0 && count >= 0 && rest > 0 ? count / rest : size));
  if (x.constant && !shape.includes(-1)) return b.constant(reshaped(x.constant, shape));
  if (shape.filter((size) => size < 0).length > 1) {
    throw new NotCompiledError(`Reshape to ${sizes.join()} is not compiled`);
  }
  if (x.shape.join() === shape.join() && !shape.slice(1).includes(-1)) return x;
  // A size of zero would mean "as before" without allowzero.
  const name = b.emit('Reshape', 14, [b.last(x), b.list(shape)], { allowzero: { int: 1 } });
  const keepsValues = x.known && shape.length <= 1;
  const result: Value = {
    dtype: x.dtype,
    shape,
    names: { last: name },
    ...(keepsValues ? { known: x.known } : {}),
  };
  return withScalingOf(x, result, (source) => reshape(b, source, sizes));
}

/** Reshape-14 to sizes that are computed by the model itself. */
export function reshapeTo(b: GraphBuilder, x: Value, sizes: Value): Value {
  const known = knownOf(sizes);
  const open = known.filter((size) => size === null || size < 0).length;
  // One size that nobody knows is the one that follows from the others.
  if (open <= 1) {
    return reshape(
      b,
      x,
      known.map((size) => size ?? -1),
    );
  }
  const list = b.emit('Cast', 13, [b.last(sizes)], { to: { int: 7 } });
  const name = b.emit('Reshape', 14, [b.last(x), list], { allowzero: { int: 1 } });
  const shape = known.map((size) => size ?? -1);
  return { dtype: x.dtype, shape, names: { last: name } };
}

/** Everything behind the batch in one axis. Flatten-13 where sizes are open. */
export function flatten(b: GraphBuilder, x: Value): Value {
  const rest = x.shape.slice(1);
  if (!rest.includes(-1)) return reshape(b, x, [x.shape[0] ?? -1, elementCount(rest)]);
  const name = b.emit('Flatten', 13, [b.last(x)], { axis: { int: 1 } });
  return { dtype: x.dtype, shape: [x.shape[0] ?? -1, -1], names: { last: name } };
}

/** Transpose-13. */
export function transpose(b: GraphBuilder, x: Value, permutation: readonly number[]): Value {
  const shape = permutation.map((axis) => x.shape[axis] ?? -1);
  if (permutation.every((axis, index) => axis === index)) return x;
  if (x.constant) return b.constant(permuted(x.constant, permutation));
  const rank = rankOf(x);
  // From whichever layout is there: one transpose does both steps.
  const [from, perm] = isFirst(x)
    ? [b.first(x), permutation.map((axis) => firstAxis(axis, rank))]
    : [b.last(x), permutation];
  const isSame = perm.every((axis, index) => axis === index);
  const name = isSame ? from : b.emit('Transpose', 13, [from], { perm: { ints: perm } });
  return { dtype: x.dtype, shape, names: { last: name } };
}

/** Concat-13. */
export function concat(b: GraphBuilder, values: readonly Value[], axis: number): Value {
  const [first] = values;
  assert(first, 'there is something to join');
  const rank = rankOf(first);
  const at = axisOf(axis, rank);
  const sizes = values.map(({ shape }) => shape[at] ?? -1);
  const shape = first.shape
    .map((size, index) =>
      size < 0 ? Math.max(...values.map((value) => value.shape[index] ?? -1)) : size,
    )
    .with(at, sizes.includes(-1) ? -1 : sizes.reduce((sum, size) => sum + size, 0));
  const inFirst = values.some(isFirst);
  const inputs = values.map((value) => (inFirst ? b.first(value) : b.last(value)));
  const name = b.emit('Concat', 13, inputs, {
    axis: { int: inFirst ? firstAxis(at, rank) : at },
  });
  const known = values.every((value) => value.known)
    ? values.flatMap((value) => value.known ?? [])
    : undefined;
  const result: Value = {
    dtype: first.dtype,
    shape,
    names: { [inFirst ? 'first' : 'last']: name },
    ...(known ? { known } : {}),
  };
  // Images would be joined twice where somebody needs them as they are.
  if (rank !== 2 || at !== 1) return result;
  return withScalingOfAll(values, result, (sources) => concat(b, sources, axis));
}

/** Unsqueeze-13: new axes of one, at their places in the result. */
export function unsqueeze(b: GraphBuilder, x: Value, axes: readonly number[]): Value {
  const rank = rankOf(x) + axes.length;
  const places = axes.map((axis) => axisOf(axis, rank)).sort((a, c) => a - c);
  const shape = [...x.shape];
  for (const place of places) shape.splice(place, 0, 1);
  if (x.constant) return b.constant(reshaped(x.constant, shape));
  const name = b.emit('Unsqueeze', 13, [b.last(x), b.list(places)]);
  return {
    dtype: x.dtype,
    shape,
    names: { last: name },
    ...(x.known && shape.length <= 1 ? { known: x.known } : {}),
  };
}

/** Squeeze-13; without axes, all that are one. */
export function squeeze(b: GraphBuilder, x: Value, axes: readonly number[]): Value {
  const rank = rankOf(x);
  const places =
    axes.length > 0
      ? axes.map((axis) => axisOf(axis, rank))
      : range(0, rank).filter((axis) => x.shape[axis] === 1);
  if (axes.length === 0 && x.shape.includes(-1)) {
    throw new NotCompiledError('Squeeze of open sizes is not compiled');
  }
  const shape = x.shape.filter((_, axis) => !places.includes(axis));
  if (x.constant) return b.constant(reshaped(x.constant, shape));
  const name = b.emit('Squeeze', 13, [b.last(x), b.list(places)]);
  return {
    dtype: x.dtype,
    shape,
    names: { last: name },
    ...(x.known && shape.length <= 1 ? { known: x.known } : {}),
  };
}

/** One step along each axis of a slice; ends as in Slice-13, `Number.MAX_SAFE_INTEGER` meaning the last. */
export interface Cut {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

/** Slice-13. */
export function slice(b: GraphBuilder, x: Value, cuts: readonly Cut[]): Value {
  const useful = cuts.filter(
    ({ axis, from, to, step }) =>
      !(from === 0 && step === 1 && to >= (x.shape[axis] ?? -1) && covers(x, axis, to)),
  );
  if (useful.length === 0) return x;
  const rank = rankOf(x);
  const inFirst = isFirst(x);
  const places = useful.map(({ axis }) => (inFirst ? firstAxis(axis, rank) : axis));
  const shape = [...x.shape];
  for (const cut of useful) shape[cut.axis] = cutSize(x.shape[cut.axis] ?? -1, cut);
  const name = b.emit('Slice', 13, [
    inFirst ? b.first(x) : b.last(x),
    b.list(useful.map(({ from }) => from)),
    b.list(useful.map(({ to }) => to)),
    b.list(places),
    b.list(useful.map(({ step }) => step)),
  ]);
  const [cut] = useful;
  const known = x.known && cut ? pick(x.known, cut) : undefined;
  return {
    dtype: x.dtype,
    shape,
    names: { [inFirst ? 'first' : 'last']: name },
    ...(known ? { known } : {}),
  };
}

/** Everything from one index on along one axis. */
export const TO_END = 2 ** 31 - 1;

/** Split-13 into equal or given pieces. */
export function split(b: GraphBuilder, x: Value, axis: number, sizes: readonly number[]): Value[] {
  const rank = rankOf(x);
  const at = axisOf(axis, rank);
  const inFirst = isFirst(x);
  const names = b.emitMany(
    'Split',
    13,
    [inFirst ? b.first(x) : b.last(x), b.list(sizes)],
    { axis: { int: inFirst ? firstAxis(at, rank) : at } },
    sizes.length,
  );
  return sizes.map((size, index) => ({
    dtype: x.dtype,
    shape: x.shape.with(at, size),
    names: { [inFirst ? 'first' : 'last']: names[index] ?? '' },
  }));
}

/** How a border is filled. */
export type PadMode = { readonly constant: number } | 'reflect';

/** Pad-13, `[before, after]` for each axis; negative numbers cut off. */
export function padBorders(
  b: GraphBuilder,
  x: Value,
  borders: readonly (readonly [number, number])[],
  mode: PadMode = { constant: 0 },
): Value {
  if (borders.every(([before, after]) => before === 0 && after === 0)) return x;
  const rank = rankOf(x);
  const inFirst = isFirst(x);
  const order = range(0, rank).sort((a, c) =>
    inFirst ? firstAxis(a, rank) - firstAxis(c, rank) : a - c,
  );
  const inOrder = order.map((axis) => borders[axis] ?? [0, 0]);
  const pads = b.list([...inOrder.map(([before]) => before), ...inOrder.map(([, after]) => after)]);
  const value = mode === 'reflect' ? [] : [b.last(b.constant(scalar(mode.constant, x.dtype)))];
  const name = b.emit('Pad', 13, [inFirst ? b.first(x) : b.last(x), pads, ...value], {
    mode: { text: mode === 'reflect' ? 'reflect' : 'constant' },
  });
  const shape = x.shape.map((size, axis) => {
    const [before, after] = borders[axis] ?? [0, 0];
    return size < 0 ? -1 : size + before + after;
  });
  return { dtype: x.dtype, shape, names: { [inFirst ? 'first' : 'last']: name } };
}

/** Tile-13. */
export function tile(b: GraphBuilder, x: Value, repeats: readonly number[]): Value {
  const name = b.emit('Tile', 13, [b.last(x), b.list(repeats)]);
  const shape = x.shape.map((size, axis) => (size < 0 ? -1 : size * (repeats[axis] ?? 1)));
  return { dtype: x.dtype, shape, names: { last: name } };
}

/** Shape-15, as the list of int32 that TensorFlow makes of it; a constant where nothing is open. */
export function shapeOf(b: GraphBuilder, x: Value): Value {
  const known = x.shape.map((size) => (size < 0 ? null : size));
  if (!known.includes(null)) {
    return b.constant(constantOf('int32', [known.length], x.shape));
  }
  const sizes = b.emit('Shape', 15, [b.last(x)]);
  const name = b.emit('Cast', 13, [sizes], { to: { int: 6 } });
  return { dtype: 'int32', shape: [known.length], names: { last: name }, known };
}

/** What is known of a list of sizes; its length always is. */
export function knownOf(sizes: Value): KnownShape {
  if (sizes.known) return sizes.known;
  const [length = 1] = sizes.shape;
  if (length < 0)
    throw new NotCompiledError('A shape of an unknown number of axes is not compiled');
  return new Array<null>(length).fill(null);
}

/** Whether an end lies behind the last element, whatever the size. */
function covers(x: Value, axis: number, to: number): boolean {
  return to >= TO_END || (x.shape[axis] ?? -1) >= 0;
}

function cutSize(size: number, { from, to, step }: Cut): number {
  if (size < 0) {
    const isFixed = step > 0 && from >= 0 && to >= 0 && to < TO_END && from < to;
    // A slice with both ends counted from the start could still meet a shorter axis.
    return isFixed && to - from === 1 ? 1 : -1;
  }
  return indices(size, { from, to, step }).length;
}

function pick(known: KnownShape, { from, to, step }: Omit<Cut, 'axis'>): KnownShape {
  return indices(known.length, { from, to, step }).map((index) => known[index] ?? null);
}

function indices(size: number, { from, to, step }: Omit<Cut, 'axis'>): number[] {
  const low = step > 0 ? 0 : -1;
  const high = step > 0 ? size : size - 1;
  const bound = (end: number): number => Math.min(Math.max(end < 0 ? end + size : end, low), high);
  const [start, stop] = [bound(from), to < -size ? low : bound(to)];
  const found: number[] = [];
  for (let at = start; step > 0 ? at < stop : at > stop; at += step) found.push(at);
  return found;
}
