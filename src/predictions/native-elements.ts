import { toHalf } from '../common/half-floats';
import { type DType } from '../common/tensor';
import { packTexts } from '../common/text-bytes';
import { type Complain, describeValue, type ElementReader, type Leaves } from './parse-tensor';

/** From here on a number rounds to infinity in float32. */
export const FLOAT32_LIMIT = 3.4028235677973366e38;
/** As well, in float16. */
const FLOAT16_LIMIT = 65_520;
const DIGITS = /^(?:0|-?[1-9][0-9]{0,18})$/;
export const MAX_STRING_BYTES = 1024 * 1024;

/** Numbers that JSON cannot write, as the native API spells them. */
const ODD_FLOATS: Readonly<Record<string, number>> = {
  NaN: NaN,
  Infinity: Infinity,
  '-Infinity': -Infinity,
};

/** Elements as the native API takes them. */
export const NATIVE_ELEMENTS: ElementReader = { fill, faultOf: valueFault };

function fill(leaves: Leaves, count: number, dtype: DType, complain: Complain): Uint8Array {
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
  leaves: Leaves,
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
  leaves: Leaves,
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
  leaves: Leaves,
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

function fillBytes(leaves: Leaves, out: Uint8Array, complain: Complain): Uint8Array {
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

function fillBools(leaves: Leaves, out: Uint8Array, complain: Complain): Uint8Array {
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
function packStrings(leaves: Leaves, complain: Complain): Uint8Array {
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
        ? `is ${describeValue(value)}, which ${dtype} cannot hold`
        : `is ${describeValue(value)}, a number was expected`;
    case 'int64':
      return `is ${describeValue(value)}, a whole number of 64 bits was expected, beyond ±9007199254740991 as a string of its digits`;
    case 'uint8':
      return `is ${describeValue(value)}, a whole number from 0 to 255 was expected`;
    case 'int32':
      return `is ${describeValue(value)}, a whole number from -2147483648 to 2147483647 was expected`;
    case 'bool':
      return `is ${describeValue(value)}, true or false was expected`;
    case 'string':
      return (
        (typeof value === 'string' ? textFault(value) : null) ??
        `is ${describeValue(value)}, a string was expected`
      );
  }
}

/** Why a text is no element, or null. */
export function textFault(text: string): string | null {
  if (!text.isWellFormed()) return 'holds half of a surrogate pair, which UTF-8 cannot write';
  if (text.includes('\0')) return 'holds a NUL character';
  // No UTF-16 unit takes less than one byte, so the cheap test comes first.
  if (text.length > MAX_STRING_BYTES || Buffer.byteLength(text) > MAX_STRING_BYTES) {
    return `is longer than ${MAX_STRING_BYTES} bytes`;
  }
  return null;
}
