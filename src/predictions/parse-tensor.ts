import { toHalf } from '../common/half-floats';
import { type DType, elementCount, type Tensor, type TensorSpec } from '../common/tensor';
import { packTexts } from '../common/text-bytes';
import { type FaultList } from './fault-list';
import { indicesAt } from './input-path';

/** From here on a number rounds to infinity in float32. */
const FLOAT32_LIMIT = 3.4028235677973366e38;
/** As well, in float16. */
const FLOAT16_LIMIT = 65_520;
const DIGITS = /^(?:0|-?[1-9][0-9]{0,18})$/;
export const MAX_STRING_BYTES = 1024 * 1024;

/** Numbers that JSON cannot write, as the native API spells them. */
export const ODD_FLOATS: Readonly<Record<string, number>> = {
  NaN: NaN,
  Infinity: Infinity,
  '-Infinity': -Infinity,
};

/** Says where an element stands in what the caller sent. */
export type PathOf = (indices: readonly number[]) => string;

/**
 * Reads nested lists as a tensor of exactly the shape and type of `spec`; open dimensions take
 * the length of the first list found there, and every other list has to agree.
 *
 * First the lists are walked, then memory is taken for what is really there and filled, so a small
 * body cannot ask for a large tensor.
 *
 * @returns null after adding at least one fault
 */
export function parseTensor(
  value: unknown,
  spec: TensorSpec,
  pathOf: PathOf,
  faults: FaultList,
): Tensor | null {
  const known = faults.size;
  const shape = [...spec.shape];
  const leaves: (readonly unknown[])[] = [];
  if (shape.length === 0) leaves.push([value]);
  else collectLeaves({ spec, shape, leaves, pathOf, faults }, value, []);
  if (faults.size > known) return null;
  const data = fill(leaves, shape, spec, (position, element) => {
    faults.add(
      () => pathOf(indicesAt(position, shape)),
      () => valueFault(spec.dtype, element),
    );
  });
  return faults.size > known ? null : { dtype: spec.dtype, shape, data };
}

interface Walk {
  readonly spec: TensorSpec;
  /** The shape of `spec`, its open dimensions being settled on the way. */
  readonly shape: number[];
  /** The innermost lists in row-major order. */
  readonly leaves: (readonly unknown[])[];
  readonly pathOf: PathOf;
  readonly faults: FaultList;
}

/** Recursion ends with the rank of the signature, however deep the value is. */
function collectLeaves(walk: Walk, value: unknown, indices: number[]): void {
  const { shape, leaves } = walk;
  const level = indices.length;
  const size = shape[level] ?? -1;
  if (!Array.isArray(value) || value.length === 0 || (size !== -1 && value.length !== size)) {
    addShapeFault(walk, value, indices, size);
    return;
  }
  const list = value as readonly unknown[];
  shape[level] = list.length;
  if (level === shape.length - 1) {
    leaves.push(list);
    return;
  }
  const isAboveLeaves = level === shape.length - 2;
  for (let index = 0; index < list.length; index++) {
    const item = list[index];
    // The common case without a call: images have as many innermost lists as pixels.
    if (isAboveLeaves && Array.isArray(item) && item.length === shape[level + 1]) {
      leaves.push(item);
      continue;
    }
    indices[level] = index;
    collectLeaves(walk, item, indices);
  }
  indices.length = level;
}

function addShapeFault(
  { spec, pathOf, faults }: Walk,
  value: unknown,
  indices: readonly number[],
  size: number,
): void {
  const expected = size === -1 ? 'a list' : `a list of ${size}`;
  faults.add(
    () => pathOf(indices),
    () => `is ${describe(value)}, ${expected} was expected (${describeSpec(spec)})`,
  );
}

/** Told of each element that does not fit; says nothing itself, so that the loops stay free of closures. */
type Complain = (position: number, value: unknown) => void;

function fill(
  leaves: readonly (readonly unknown[])[],
  shape: readonly number[],
  { dtype }: TensorSpec,
  complain: Complain,
): Uint8Array {
  const count = elementCount(shape);
  switch (dtype) {
    case 'float32':
      return bytesOf(fillFloats(leaves, new Float32Array(count), FLOAT32_LIMIT, complain));
    case 'float64':
      return bytesOf(fillFloats(leaves, new Float64Array(count), Infinity, complain));
    case 'float16': {
      const values = fillFloats(leaves, new Float32Array(count), FLOAT16_LIMIT, complain);
      return bytesOf(Uint16Array.from(values, toHalf));
    }
    case 'int32':
      return bytesOf(fillInts(leaves, new Int32Array(count), complain));
    case 'int64':
      return bytesOf(fillLongs(leaves, new BigInt64Array(count), complain));
    case 'uint8':
      return fillBytes(leaves, new Uint8Array(count), complain);
    case 'bool':
      return fillBools(leaves, new Uint8Array(count), complain);
    case 'string':
      return packStrings(leaves, complain);
  }
}

function bytesOf({ buffer }: { readonly buffer: ArrayBuffer }): Uint8Array {
  return new Uint8Array(buffer);
}

function fillFloats<Floats extends Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(
  leaves: readonly (readonly unknown[])[],
  out: Floats,
  limit: number,
  complain: Complain,
): Floats {
  let at = 0;
  for (const leaf of leaves) {
    // A counted loop: iterating costs twice as much here.
    // eslint-disable-next-line @typescript-eslint/prefer-for-of
    for (let index = 0; index < leaf.length; index++) {
      const value = leaf[index];
      if (typeof value === 'number' && value < limit && value > -limit) {
        out[at] = value;
      } else if (typeof value === 'string' && Object.hasOwn(ODD_FLOATS, value)) {
        out[at] = ODD_FLOATS[value] ?? NaN;
      } else complain(at, value);
      at++;
    }
  }
  return out;
}

function fillInts(
  leaves: readonly (readonly unknown[])[],
  out: Int32Array<ArrayBuffer>,
  complain: Complain,
): Int32Array<ArrayBuffer> {
  let at = 0;
  for (const leaf of leaves) {
    // eslint-disable-next-line @typescript-eslint/prefer-for-of
    for (let index = 0; index < leaf.length; index++) {
      const value = leaf[index];
      if (typeof value === 'number' && value === (value | 0)) out[at] = value;
      else complain(at, value);
      at++;
    }
  }
  return out;
}

/** Numbers that a double holds exactly, and strings of digits: nothing is ever rounded. */
function fillLongs(
  leaves: readonly (readonly unknown[])[],
  out: BigInt64Array<ArrayBuffer>,
  complain: Complain,
): BigInt64Array<ArrayBuffer> {
  let at = 0;
  for (const leaf of leaves) {
    for (const value of leaf) {
      if (Number.isSafeInteger(value)) out[at] = BigInt(value as number);
      else {
        const digits = typeof value === 'string' && DIGITS.test(value) ? BigInt(value) : null;
        if (digits !== null && BigInt.asIntN(64, digits) === digits) out[at] = digits;
        else complain(at, value);
      }
      at++;
    }
  }
  return out;
}

function fillBytes(
  leaves: readonly (readonly unknown[])[],
  out: Uint8Array,
  complain: Complain,
): Uint8Array {
  let at = 0;
  for (const leaf of leaves) {
    // eslint-disable-next-line @typescript-eslint/prefer-for-of
    for (let index = 0; index < leaf.length; index++) {
      const value = leaf[index];
      if (typeof value === 'number' && value === (value & 0xff)) out[at] = value;
      else complain(at, value);
      at++;
    }
  }
  return out;
}

function fillBools(
  leaves: readonly (readonly unknown[])[],
  out: Uint8Array,
  complain: Complain,
): Uint8Array {
  let at = 0;
  for (const leaf of leaves) {
    for (const value of leaf) {
      if (value === true || value === 1) out[at] = 1;
      else if (value !== false && value !== 0) complain(at, value);
      at++;
    }
  }
  return out;
}

/** UTF-8, each string behind its length. */
function packStrings(leaves: readonly (readonly unknown[])[], complain: Complain): Uint8Array {
  const texts: Buffer[] = [];
  let at = 0;
  for (const leaf of leaves) {
    for (const value of leaf) {
      if (typeof value !== 'string' || textFault(value) !== null) complain(at, value);
      else texts.push(Buffer.from(value));
      at++;
    }
  }
  return packTexts(texts);
}

/** Why a value is no element of a tensor of that type. */
function valueFault(dtype: DType, value: unknown): string {
  switch (dtype) {
    case 'float32':
    case 'float64':
    case 'float16':
      return typeof value === 'number'
        ? `is ${describe(value)}, which ${dtype} cannot hold`
        : `is ${describe(value)}, a number was expected`;
    case 'int64':
      return `is ${describe(value)}, a whole number of 64 bits was expected, beyond ±9007199254740991 as a string of its digits`;
    case 'uint8':
      return `is ${describe(value)}, a whole number from 0 to 255 was expected`;
    case 'int32':
      return `is ${describe(value)}, a whole number from -2147483648 to 2147483647 was expected`;
    case 'bool':
      return `is ${describe(value)}, true or false was expected`;
    case 'string':
      return (
        (typeof value === 'string' ? textFault(value) : null) ??
        `is ${describe(value)}, a string was expected`
      );
  }
}

function textFault(text: string): string | null {
  if (!text.isWellFormed()) return 'holds half of a surrogate pair, which UTF-8 cannot write';
  if (text.includes('\0')) return 'holds a NUL character';
  // No UTF-16 unit takes less than one byte, so the cheap test comes first.
  if (text.length > MAX_STRING_BYTES || Buffer.byteLength(text) > MAX_STRING_BYTES) {
    return `is longer than ${MAX_STRING_BYTES} bytes`;
  }
  return null;
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'missing';
  if (Array.isArray(value))
    return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 30))}`;
  if (typeof value === 'number' || typeof value === 'boolean')
    return `the ${typeof value} ${value}`;
  return 'an object';
}

/** `image: float32 [-1, 28, 28, 1]` */
export function describeSpec({ name, dtype, shape }: TensorSpec): string {
  return `${name}: ${dtype} [${shape.join(', ')}]`;
}
