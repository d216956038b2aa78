/** Element types a signature can name, with their width in bytes; strings have none. */
export const DTYPE_BYTES = {
  float32: 4,
  float64: 8,
  float16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  bool: 1,
  string: 0,
} as const;
export type DType = keyof typeof DTYPE_BYTES;

/** One input or output of a model. `-1` in `shape` is a dimension that the caller chooses. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** What a model takes and gives. Names carry no `:0`. */
export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/**
 * A tensor outside any engine.
 *
 * `data` is row-major and little-endian, `DTYPE_BYTES[dtype]` bytes an element (bool: 0 or 1);
 * strings are UTF-8, each behind its length as a uint32, as in the binary form of the Open
 * Inference Protocol. `data` is the only owner of its bytes or a view that nobody writes to.
 */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Tensors by the names of the signature. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/** The number of elements of a shape without open dimensions. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}
