import { elementCount } from '../../common/tensor';
import { NotCompiledError } from '../runtime.errors';
import { type ComputedType, scalar } from './constant';
import { converted } from './constant-steps';
import { type GraphBuilder, withRank } from './graph-builder';
import { type OnnxAttributes } from './onnx-model';
import { rankOf, type Value } from './value';

/** An ONNX operator and the operator set that its meaning dates from. */
export type Operator = readonly [op: string, since: number];

/** Applies an operator to each element, in whichever layout the value is already there. */
export function unary(
  b: GraphBuilder,
  [op, since]: Operator,
  x: Value,
  attributes: OnnxAttributes = {},
  dtype: ComputedType = x.dtype,
): Value {
  const layout = isFirst(x) ? 'first' : 'last';
  const name = b.emit(op, since, [b[layout](x)], attributes);
  return { dtype, shape: x.shape, names: { [layout]: name } };
}

/** Applies an operator to pairs of elements, with the broadcasting that both libraries share. */
export function binary(
  b: GraphBuilder,
  operator: Operator,
  x: Value,
  y: Value,
  dtype: ComputedType = x.dtype,
): Value {
  return nary(b, operator, [x, y], dtype);
}

/** Applies an operator that broadcasts all of its inputs, e.g. Where or Sum. */
export function nary(
  b: GraphBuilder,
  [op, since]: Operator,
  values: readonly Value[],
  dtype: ComputedType,
): Value {
  const shape = values.map((value) => value.shape).reduce(broadcast);
  const rank = shape.length;
  const inFirst = values.some(isFirst) && values.every((value) => fitsFirst(value, rank));
  const inputs = values.map((value) => (inFirst ? firstOf(b, value, rank) : b.last(value)));
  const name = b.emit(op, since, inputs);
  const known = knownResult(op, values);
  return {
    dtype,
    shape,
    names: { [inFirst ? 'first' : 'last']: name },
    ...(known && dtype === 'int32' ? { known } : {}),
  };
}

/** Cast-13. TensorFlow and ONNX both cut fractions off, and make truth of what is not zero. */
export function cast(b: GraphBuilder, x: Value, dtype: ComputedType): Value {
  if (x.dtype === dtype) return x;
  if (x.constant) return b.constant(converted(x.constant, dtype));
  const to = { float32: 1, int32: 6, bool: 9 }[dtype];
  const result = unary(b, ['Cast', 13], x, { to: { int: to } }, dtype);
  return x.known && dtype === 'int32' ? { ...result, known: x.known } : result;
}

export function scale(b: GraphBuilder, x: Value, factor: number): Value {
  return binary(b, ['Mul', 14], x, b.constant(scalar(factor)));
}

export function add(b: GraphBuilder, x: Value, y: Value): Value {
  return binary(b, ['Add', 14], x, y);
}

export function multiply(b: GraphBuilder, x: Value, y: Value): Value {
  return binary(b, ['Mul', 14], x, y);
}

/** The name of a value as an operator sees it that works in the layout of another. */
export function firstOf(b: GraphBuilder, value: Value, rank: number): string {
  if (rankOf(value) === rank) return b.first(value);
  return value.constant && !isSingle(value)
    ? b.first(b.constant(withRank(value.constant, rank)))
    : b.last(value);
}

/** Whether the channels-first layout is the only one that is there. */
export function isFirst({ names, constant }: Value): boolean {
  return names.first !== undefined && names.last === undefined && !constant;
}

export function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    if (x < 0 || y < 0) return Math.max(x, y);
    throw new NotCompiledError(`Shapes ${a.join()} and ${b.join()} do not go together`);
  });
}

function fitsFirst(value: Value, rank: number): boolean {
  return rankOf(value) === rank || isSingle(value) || value.constant !== undefined;
}

function isSingle({ shape }: Value): boolean {
  return elementCount(shape) === 1;
}

const KNOWN_RESULTS: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
};

/** What is known of sums and products of sizes, which become shapes later on. */
function knownResult(op: string, [x, y]: readonly Value[]): (number | null)[] | undefined {
  const compute = KNOWN_RESULTS[op];
  if (!compute || !x?.known || !y?.known) return undefined;
  const [a, c] = [x.known, y.known];
  if (a.length !== c.length && a.length !== 1 && c.length !== 1) return undefined;
  return Array.from({ length: Math.max(a.length, c.length) }, (_, index) => {
    const left = a.length === 1 ? a[0] : a[index];
    const right = c.length === 1 ? c[0] : c[index];
    return left === null || right === null || left === undefined || right === undefined
      ? null
      : compute(left, right);
  });
}
