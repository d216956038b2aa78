import { type DType } from '../../common/tensor';
import { packTexts } from '../../common/text-bytes';
import { FLOAT32_LIMIT, textFault } from '../../predictions/native-elements';
import { type Complain, type ElementReader, type Leaves } from '../../predictions/parse-tensor';
import { WrittenFraction } from './first-json';

/** TensorFlow's names of the types, as its errors and its metadata spell them. */
export const TF_TYPES: Readonly<Record<DType, string>> = {
  float32: 'float',
  float64: 'double',
  float16: 'half',
  int32: 'int32',
  int64: 'int64',
  uint8: 'uint8',
  bool: 'bool',
  string: 'string',
};

const MAX_SHOWN_BYTES = 256;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Elements as TensorFlow Serving takes them: nothing is read as another type than it was written
 * in. A fraction is no integer even where it is zero, a text is no number, and bytes in base64 are
 * texts.
 */
export const TF_ELEMENTS: ElementReader = { fill, faultOf };

function fill(leaves: Leaves, count: number, dtype: DType, complain: Complain): Uint8Array {
  switch (dtype) {
    case 'float32':
      return bytesOf(fillFloats(leaves, new Float32Array(count), FLOAT32_LIMIT, complain));
    case 'float64':
    // Refused before it comes to this.
    case 'float16':
      return bytesOf(fillFloats(leaves, new Float64Array(count), Infinity, complain));
    case 'int32':
      return bytesOf(fillInts(leaves, new Int32Array(count), complain));
    case 'uint8':
      return fillInts(leaves, new Uint8Array(count), complain);
    case 'int64':
      return bytesOf(fillLongs(leaves, new BigInt64Array(count), complain));
    case 'bool':
      return fillBools(leaves, new Uint8Array(count), complain);
    case 'string':
      return packStrings(leaves, complain);
  }
}

function bytesOf({ buffer }: { readonly buffer: ArrayBuffer }): Uint8Array {
  return new Uint8Array(buffer);
}

/** @param limit from here on a finite number rounds to infinity */
function fillFloats<Floats extends Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(
  leaves: Leaves,
  out: Floats,
  limit: number,
  complain: Complain,
): Floats {
  let at = 0;
  for (const leaf of leaves) {
    // A counted loop: iterating costs twice as much.
    // eslint-disable-next-line @typescript-eslint/prefer-for-of
    for (let index = 0; index < leaf.length; index++) {
      const element = leaf[index];
      const value = typeof element === 'number' ? element : toNumber(element);
      if (value === null || (Number.isFinite(value) && Math.abs(value) >= limit)) {
        complain(at, element);
      } else out[at] = value;
      at++;
    }
  }
  return out;
}

/** Numbers that are no plain ones because an integer could have been wanted. */
function toNumber(element: unknown): number | null {
  if (element instanceof WrittenFraction) return element.value;
  return typeof element === 'bigint' ? Number(element) : null;
}

function fillInts<Ints extends Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  leaves: Leaves,
  out: Ints,
  complain: Complain,
): Ints {
  let at = 0;
  for (const leaf of leaves) {
    // eslint-disable-next-line @typescript-eslint/prefer-for-of
    for (let index = 0; index < leaf.length; index++) {
      const value = leaf[index];
      if (typeof value === 'number') out[at] = value;
      // What was wrapped, cut or rounded is no element. Minus zero is one.
      if (typeof value !== 'number' || out[at] !== value) complain(at, value);
      at++;
    }
  }
  return out;
}

function fillLongs(
  leaves: Leaves,
  out: BigInt64Array<ArrayBuffer>,
  complain: Complain,
): BigInt64Array<ArrayBuffer> {
  let at = 0;
  for (const leaf of leaves) {
    for (const value of leaf) {
      if (Number.isSafeInteger(value)) out[at] = BigInt(value as number);
      else if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) out[at] = value;
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
      if (value === true) out[at] = 1;
      else if (value !== false) complain(at, value);
      at++;
    }
  }
  return out;
}

function packStrings(leaves: Leaves, complain: Complain): Uint8Array {
  const texts: Buffer[] = [];
  let at = 0;
  for (const leaf of leaves) {
    for (const value of leaf) {
      const text = typeof value === 'string' ? value : textOfBytes(value);
      if (text === null || textFault(text) !== null) complain(at, value);
      else texts.push(Buffer.from(text));
      at++;
    }
  }
  return packTexts(texts);
}

/** Whether a value is `{"b64": "…"}`. */
export function isBase64Object(value: unknown): value is { readonly b64: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return entries.length === 1 && entries[0]?.[0] === 'b64' && typeof entries[0][1] === 'string';
}

function textOfBytes(value: unknown): string | null {
  if (!isBase64Object(value)) return null;
  const { b64 } = value;
  const unpadded = b64.replace(/=+$/, '');
  if (!BASE64.test(b64) || unpadded.length % 4 === 1) return null;
  if (b64.length !== unpadded.length && b64.length % 4 !== 0) return null;
  try {
    return UTF8.decode(Buffer.from(b64, 'base64'));
  } catch {
    return null;
  }
}

/** A byte order mark is text as well. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function faultOf(dtype: DType, value: unknown): string {
  const shown = `JSON Value: ${showJson(value)}`;
  if (dtype === 'string') {
    if (isBase64Object(value)) {
      const text = textOfBytes(value);
      const why = text === null ? 'is not base64 of a text in UTF-8' : textFault(text);
      return `${shown} not formatted correctly for base64 data: it ${why ?? ''}`;
    }
    const why = typeof value === 'string' ? textFault(value) : null;
    if (why !== null) return `${shown} ${why}`;
  } else if (dtype === 'float32' || dtype === 'float64') {
    if (typeof value === 'number' || toNumber(value) !== null) {
      return `Cannot convert ${shown} to ${TF_TYPES[dtype]} without loss of precision`;
    }
  }
  return `${shown} Type: ${jsonType(value)} is not of expected type: ${TF_TYPES[dtype]}`;
}

function jsonType(value: unknown): string {
  if (value === null || value === undefined) return 'Null';
  if (Array.isArray(value)) return 'Array';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return 'String';
  return typeof value === 'object' && !(value instanceof WrittenFraction) ? 'Object' : 'Number';
}

/** A value of JSON for a message, cut where it becomes long. */
export function showJson(value: unknown): string {
  const text = jsonText(value);
  if (Buffer.byteLength(text) <= MAX_SHOWN_BYTES) return text;
  // Never half a character: what is cut through shows as a replacement, which goes as well.
  const cut = Buffer.from(text).toString('utf8', 0, MAX_SHOWN_BYTES);
  return cut.replace(/\uFFFD$/, '');
}

function jsonText(value: unknown): string {
  if (value instanceof WrittenFraction) return `${value.value}.0`;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  const plain = JSON.stringify(value, (_key, member: unknown) => {
    if (member instanceof WrittenFraction) return member.value;
    return typeof member === 'bigint' ? Number(member) : member;
  }) as string | undefined;
  return plain ?? 'null';
}
