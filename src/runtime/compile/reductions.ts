import { isFirst } from './elementwise';
import { type GraphBuilder } from './graph-builder';
import { axisOf, firstAxis, range, rankOf, type Value } from './value';

export type Reduction = 'Mean' | 'Sum' | 'Max' | 'Min' | 'Prod';

/**
 * ReduceSum-13 takes its axes as an input; ReduceMean-13, ReduceMax-13, ReduceMin-13 and
 * ReduceProd-13 as an attribute.
 */
export function reduce(
  b: GraphBuilder,
  x: Value,
  kind: Reduction,
  axes: readonly number[],
  keepsAxes: boolean,
): Value {
  const rank = rankOf(x);
  const counted = (axes.length > 0 ? axes : range(0, rank)).map((axis) => axisOf(axis, rank));
  const kept = range(0, rank).filter((axis) => !counted.includes(axis));
  // What is left has no layout any more, unless it keeps its rank or is rows of channels.
  const inFirst = isFirst(x) && (keepsAxes || kept.length <= 1 || kept.join() === `0,${rank - 1}`);
  const at = inFirst ? counted.map((axis) => firstAxis(axis, rank)) : counted;
  const source = inFirst ? b.first(x) : b.last(x);
  const attributes = { keepdims: { int: keepsAxes ? 1 : 0 } };
  const name =
    kind === 'Sum'
      ? b.emit('ReduceSum', 13, [source, b.list(at)], attributes)
      : b.emit(`Reduce${kind}`, 13, [source], { ...attributes, axes: { ints: at } });
  const shape = keepsAxes
    ? x.shape.map((size, axis) => (counted.includes(axis) ? 1 : size))
    : kept.map((axis) => x.shape[axis] ?? -1);
  return { dtype: x.dtype, shape, names: { [inFirst && keepsAxes ? 'first' : 'last']: name } };
}

/** ArgMax-13, ArgMin-13; the first of several equal ones, as in TensorFlow. */
export function argReduce(b: GraphBuilder, x: Value, op: 'ArgMax' | 'ArgMin', axis: number): Value {
  const at = axisOf(axis, rankOf(x));
  const index = b.emit(op, 13, [b.last(x)], { axis: { int: at }, keepdims: { int: 0 } });
  const name = b.emit('Cast', 13, [index], { to: { int: 6 } });
  return { dtype: 'int32', shape: x.shape.toSpliced(at, 1), names: { last: name } };
}
