import { type DType } from '../../common/tensor';
import { expandHalfs } from '../../common/half-floats';

interface DatatypeFacts {
  /** Bytes of an element in binary form; 0 for texts, which have a length of their own. */
  readonly bytes: number;
  /** The element type of ours that holds every value of it; of UINT64 those below 2^63. */
  readonly carrier: DType;
  /** What a value must lie between where the carrier holds more. */
  readonly range?: readonly [number, number];
}

/** Element types as the protocol calls them, with Triton's BF16. */
export const DATATYPES = {
  BOOL: { bytes: 1, carrier: 'bool' },
  UINT8: { bytes: 1, carrier: 'uint8' },
  UINT16: { bytes: 2, carrier: 'int32', range: [0, 65_535] },
  UINT32: { bytes: 4, carrier: 'int64', range: [0, 4_294_967_295] },
  UINT64: { bytes: 8, carrier: 'int64', range: [0, Infinity] },
  INT8: { bytes: 1, carrier: 'int32', range: [-128, 127] },
  INT16: { bytes: 2, carrier: 'int32', range: [-32_768, 32_767] },
  INT32: { bytes: 4, carrier: 'int32' },
  INT64: { bytes: 8, carrier: 'int64' },
  FP16: { bytes: 2, carrier: 'float16' },
  FP32: { bytes: 4, carrier: 'float32' },
  FP64: { bytes: 8, carrier: 'float64' },
  BF16: { bytes: 2, carrier: 'float32' },
  BYTES: { bytes: 0, carrier: 'string' },
} as const satisfies Readonly<Record<string, DatatypeFacts>>;
export type Datatype = keyof typeof DATATYPES;

/** What each of our element types is called. */
export const DATATYPE_OF = {
  float32: 'FP32',
  float64: 'FP64',
  float16: 'FP16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  bool: 'BOOL',
  string: 'BYTES',
} as const satisfies Readonly<Record<DType, Datatype>>;

export function isDatatype(text: unknown): text is Datatype {
  return typeof text === 'string' && Object.hasOwn(DATATYPES, text);
}

export function factsOf(datatype: Datatype): DatatypeFacts {
  return DATATYPES[datatype];
}

const INTEGERS: readonly DType[] = ['uint8', 'int32', 'int64'];
const WIDER: Partial<Readonly<Record<DType, readonly DType[]>>> = {
  float16: ['float32', 'float64'],
  float32: ['float64'],
};

/**
 * Whether values of that type can be what the model takes: the same type, a wider float, or whole
 * numbers, each of which is looked at. What would round or mean something else is refused.
 */
export function fits(datatype: Datatype, dtype: DType): boolean {
  const { carrier } = DATATYPES[datatype];
  if (carrier === dtype) return true;
  return INTEGERS.includes(carrier)
    ? INTEGERS.includes(dtype)
    : (WIDER[carrier]?.includes(dtype) ?? false);
}

export type Numbers =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** The numbers in little-endian bytes of that type. */
export function numbersIn(
  datatype: Exclude<Datatype, 'BYTES' | 'BOOL'>,
  bytes: Uint8Array,
): Numbers {
  // Typed arrays start at multiples of their elements, which bytes behind a JSON text rarely do.
  const width = DATATYPES[datatype].bytes;
  const { buffer, byteOffset } = bytes.byteOffset % width === 0 ? bytes : Uint8Array.from(bytes);
  const length = bytes.byteLength / width;
  switch (datatype) {
    case 'INT8':
      return new Int8Array(buffer, byteOffset, length);
    case 'UINT8':
      return new Uint8Array(buffer, byteOffset, length);
    case 'INT16':
      return new Int16Array(buffer, byteOffset, length);
    case 'UINT16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'INT32':
      return new Int32Array(buffer, byteOffset, length);
    case 'UINT32':
      return new Uint32Array(buffer, byteOffset, length);
    case 'INT64':
      return new BigInt64Array(buffer, byteOffset, length);
    case 'UINT64':
      return new BigUint64Array(buffer, byteOffset, length);
    case 'FP32':
      return new Float32Array(buffer, byteOffset, length);
    case 'FP64':
      return new Float64Array(buffer, byteOffset, length);
    case 'FP16':
      return expandHalfs(new Uint16Array(buffer, byteOffset, length));
    case 'BF16':
      return expandBrains(new Uint16Array(buffer, byteOffset, length));
  }
}

/** bfloat16 is the upper half of a float32. */
function expandBrains(packed: Uint16Array): Float32Array {
  const bits = new Uint32Array(packed.length);
  for (let index = 0; index < packed.length; index++) bits[index] = (packed[index] ?? 0) << 16;
  return new Float32Array(bits.buffer);
}

/** Told of each value that does not fit. */
export type Complain = (position: number, value: number | bigint) => void;

/** Numbers as the bytes of an element type that can hold them by `fits`. */
export function toBytes(values: Numbers, dtype: DType, complain: Complain): Uint8Array {
  const out = roomFor(dtype, values.length);
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? 0;
    if (out instanceof BigInt64Array) {
      const whole = BigInt(value);
      out[index] = whole;
      if (out[index] !== whole) complain(index, value);
    } else {
      const number = Number(value);
      out[index] = number;
      // NaN is a float, and no whole number turns into one.
      if (out[index] !== number && !Number.isNaN(number)) complain(index, value);
    }
  }
  return new Uint8Array(out.buffer);
}

function roomFor(
  dtype: DType,
  length: number,
): Float32Array | Float64Array | Int32Array | Uint8Array | BigInt64Array {
  switch (dtype) {
    case 'float32':
      return new Float32Array(length);
    case 'float64':
      return new Float64Array(length);
    case 'int64':
      return new BigInt64Array(length);
    case 'int32':
      return new Int32Array(length);
    case 'uint8':
    case 'bool':
    case 'float16':
    case 'string':
      return new Uint8Array(length);
  }
}
