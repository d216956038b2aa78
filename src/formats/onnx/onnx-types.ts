import { type DType } from '../../common/tensor';

interface OnnxType {
  readonly name: string;
  /** Of one element; 0 for texts. */
  readonly bits: number;
  /** The field of a tensor that holds its elements where they are not raw bytes. */
  readonly field: number;
  /** As the signature names it; absent where no input or output can be of it. */
  readonly dtype?: DType;
}

const FLOATS = 4;
const INTS = 5;
const TEXTS = 6;
const LONGS = 7;
const DOUBLES = 10;
const UNSIGNED = 11;

/** `TensorProto.DataType`. */
export const ONNX_TYPES: ReadonlyMap<number, OnnxType> = new Map([
  [1, { name: 'float', bits: 32, field: FLOATS, dtype: 'float32' }],
  [2, { name: 'uint8', bits: 8, field: INTS, dtype: 'uint8' }],
  [3, { name: 'int8', bits: 8, field: INTS }],
  [4, { name: 'uint16', bits: 16, field: INTS }],
  [5, { name: 'int16', bits: 16, field: INTS }],
  [6, { name: 'int32', bits: 32, field: INTS, dtype: 'int32' }],
  [7, { name: 'int64', bits: 64, field: LONGS, dtype: 'int64' }],
  [8, { name: 'string', bits: 0, field: TEXTS, dtype: 'string' }],
  [9, { name: 'bool', bits: 8, field: INTS, dtype: 'bool' }],
  [10, { name: 'float16', bits: 16, field: INTS, dtype: 'float16' }],
  [11, { name: 'double', bits: 64, field: DOUBLES, dtype: 'float64' }],
  [12, { name: 'uint32', bits: 32, field: UNSIGNED }],
  [13, { name: 'uint64', bits: 64, field: UNSIGNED }],
  [16, { name: 'bfloat16', bits: 16, field: INTS }],
  [17, { name: 'float8e4m3fn', bits: 8, field: INTS }],
  [18, { name: 'float8e4m3fnuz', bits: 8, field: INTS }],
  [19, { name: 'float8e5m2', bits: 8, field: INTS }],
  [20, { name: 'float8e5m2fnuz', bits: 8, field: INTS }],
  [21, { name: 'uint4', bits: 4, field: INTS }],
  [22, { name: 'int4', bits: 4, field: INTS }],
] satisfies [number, OnnxType][]);

export const SERVED_TYPES = 'float, float16, double, int32, int64, uint8, bool and string';

/** Bytes of an element in the fields that are counted in bytes. */
const COUNTED_IN_BYTES: ReadonlyMap<number, number> = new Map([
  [FLOATS, 4],
  [DOUBLES, 8],
]);

/** How many elements a tensor has there, given what was counted. */
export function elementsIn(field: number, count: number): number {
  return count / (COUNTED_IN_BYTES.get(field) ?? 1);
}
