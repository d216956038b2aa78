import { expandHalfs } from './half-floats';
import { type Tensor } from './tensor';
import { unpackTexts } from './text-bytes';

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

/** Whether right answers may differ in them by rounding. */
export function isFloats(values: TensorValues): values is Float32Array | Float64Array {
  return values instanceof Float32Array || values instanceof Float64Array;
}

export function isNumbers(values: TensorValues): values is Numbers {
  return ArrayBuffer.isView(values) && !(values instanceof BigInt64Array);
}

/** Typed arrays start at multiples of their elements; bytes from the database rarely do. */
function elementsOf(data: Uint8Array, width: number): [ArrayBufferLike, number, number] {
  const { buffer, byteOffset } = data.byteOffset % width === 0 ? data : Uint8Array.from(data);
  return [buffer, byteOffset, Math.floor(data.byteLength / width)];
}
