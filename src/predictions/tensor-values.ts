import { type Tensor } from '../common/tensor';

/** The elements of a tensor in row-major order: numbers for numeric types, else booleans or strings. */
export type TensorValues = Float32Array | Int32Array | readonly boolean[] | readonly string[];

/** Reads the elements; numeric ones are a view where the bytes are aligned, a copy otherwise. */
export function valuesOf({ dtype, data }: Tensor): TensorValues {
  switch (dtype) {
    case 'float32':
      return new Float32Array(...fourByteElements(data));
    case 'int32':
      return new Int32Array(...fourByteElements(data));
    case 'bool':
      return Array.from(data, (byte) => byte !== 0);
    case 'string':
      return unpackStrings(data);
  }
}

/** Typed arrays need a multiple of four as their offset; bytes from the database rarely have one. */
function fourByteElements(data: Uint8Array): [ArrayBufferLike, number, number] {
  const { buffer, byteOffset } = data.byteOffset % 4 === 0 ? data : Uint8Array.from(data);
  return [buffer, byteOffset, Math.floor(data.byteLength / 4)];
}

function unpackStrings(data: Uint8Array): string[] {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const strings: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const start = at + 4;
    at = start + bytes.readUInt32LE(at);
    strings.push(bytes.toString('utf8', start, at));
  }
  return strings;
}

/** One element as JSON can carry it: NaN and the infinities as strings. */
export type JsonElement = number | string | boolean;

/** All elements as one flat list for JSON. */
export function flatJson(tensor: Tensor): readonly JsonElement[] {
  return jsonSlice(valuesOf(tensor));
}

/**
 * Elements from `start` to `end` for JSON. A float32 is written with the digits of the double that
 * equals it, so that whoever reads it gets the very same number.
 */
export function jsonSlice(
  values: TensorValues,
  start = 0,
  end = values.length,
): readonly JsonElement[] {
  if (values instanceof Int32Array) return Array.from(values.subarray(start, end));
  if (!(values instanceof Float32Array)) return values.slice(start, end);
  const slice: JsonElement[] = Array.from(values.subarray(start, end));
  for (let index = 0; index < slice.length; index++) {
    const value = slice[index];
    // JSON would turn what is not finite into null.
    if (!Number.isFinite(value)) slice[index] = String(value);
  }
  return slice;
}
