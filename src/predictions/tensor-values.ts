import { expandHalfs } from '../common/half-floats';
import { type Tensor } from '../common/tensor';
import { unpackTexts } from '../common/text-bytes';

/** Elements that are numbers of JavaScript. */
export type Numbers = Float32Array | Float64Array | Int32Array | Uint8Array;

/** The elements of a tensor in row-major order: numbers for numeric types, else booleans or strings. */
export type TensorValues = Numbers | BigInt64Array | readonly boolean[] | readonly string[];

/** Reads the elements; numeric ones are a view where the bytes are aligned, a copy otherwise. */
export function valuesOf({ dtype, data }: Tensor): TensorValues {
  switch (dtype) {
    case 'float32':
      return new Float32Array(...elementsOf(data, 4));
    case 'float64':
      return new Float64Array(...elementsOf(data, 8));
    case 'float16':
      return expandHalfs(new Uint16Array(...elementsOf(data, 2)));
    case 'int32':
      return new Int32Array(...elementsOf(data, 4));
    case 'int64':
      return new BigInt64Array(...elementsOf(data, 8));
    case 'uint8':
      return data;
    case 'bool':
      return Array.from(data, (byte) => byte !== 0);
    case 'string':
      return unpackTexts(data);
  }
}

export function isNumbers(values: TensorValues): values is Numbers {
  return ArrayBuffer.isView(values) && !(values instanceof BigInt64Array);
}

/** Typed arrays start at multiples of their elements; bytes from the database rarely do. */
function elementsOf(data: Uint8Array, width: number): [ArrayBufferLike, number, number] {
  const { buffer, byteOffset } = data.byteOffset % width === 0 ? data : Uint8Array.from(data);
  return [buffer, byteOffset, Math.floor(data.byteLength / width)];
}

function wholeJson(value: bigint): JsonElement {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

/** One element as JSON can carry it: what no number of JSON equals as a string. */
export type JsonElement = number | string | boolean;

/** All elements as one flat list for JSON. */
export function flatJson(tensor: Tensor): readonly JsonElement[] {
  return jsonSlice(valuesOf(tensor));
}

/**
 * Elements from `start` to `end` for JSON. A float32 is written with the digits of the double that
 * equals it, so that whoever reads it gets the very same number; an int64 that no double equals is
 * a string of its digits.
 */
export function jsonSlice(
  values: TensorValues,
  start = 0,
  end = values.length,
): readonly JsonElement[] {
  if (values instanceof BigInt64Array) {
    return Array.from(values.subarray(start, end), wholeJson);
  }
  if (!isNumbers(values)) return values.slice(start, end);
  if (values instanceof Int32Array || values instanceof Uint8Array) {
    return Array.from(values.subarray(start, end));
  }
  const slice: JsonElement[] = Array.from(values.subarray(start, end));
  for (let index = 0; index < slice.length; index++) {
    const value = slice[index];
    // JSON would turn what is not finite into null.
    if (!Number.isFinite(value)) slice[index] = String(value);
  }
  return slice;
}
