import { type DType, DTYPE_BYTES, type Tensor } from '../../common/tensor';
import { packTexts, unpackTexts } from '../../common/text-bytes';
import { InferenceFailedError, TensorMismatchError } from '../runtime.errors';
import { type OnnxSession, type OnnxTensor, type OnnxValues } from './onnx-runtime';

/** Our types as ONNX Runtime names them: all of them, and all by the same names. */
function isKnown(type: string): type is DType {
  return Object.hasOwn(DTYPE_BYTES, type);
}

export function toOnnxTensor(session: OnnxSession, { dtype, shape, data }: Tensor): OnnxTensor {
  return session.tensor(dtype, toValues(dtype, data), shape);
}

/** @throws TensorMismatchError for an output that is missing, or of a type that has no plain form */
export function fromOnnxTensor(name: string, tensor: OnnxTensor | undefined): Tensor {
  if (!tensor || !isKnown(tensor.type)) {
    throw new TensorMismatchError(`Output ${name} has no plain form`);
  }
  const { type, dims, data } = tensor;
  return { dtype: type, shape: [...dims], data: bytesOf(data) };
}

/**
 * The same rows in the shape that the graph takes them in.
 *
 * @throws TensorMismatchError for a tensor of another shape than its input, which would fit by chance
 */
export function rowsAs(
  fedShape: readonly number[],
  name: string,
  tensor: Tensor,
  shape: readonly number[],
): Tensor {
  const given = tensor.shape;
  const fits = shape.every((size, axis) => size < 0 || given[axis] === size);
  if (given.length !== shape.length || !fits) {
    throw new TensorMismatchError(
      `Input ${name} is of the shape [${given.join(', ')}] instead of [${shape.join(', ')}]`,
    );
  }
  return { ...tensor, shape: [given[0] ?? 1, ...fedShape.slice(1)] };
}

/** One row of a tensor, as a batch of one. */
export function rowOf({ dtype, shape, data }: Tensor, row: number): Tensor {
  const [rows = 1, ...rest] = shape;
  if (dtype === 'string') {
    const texts = unpackTexts(data);
    const each = texts.length / rows;
    const own = texts.slice(row * each, (row + 1) * each).map((text) => Buffer.from(text));
    return { dtype, shape: [1, ...rest], data: packTexts(own) };
  }
  const each = data.byteLength / rows;
  return { dtype, shape: [1, ...rest], data: data.subarray(row * each, (row + 1) * each) };
}

/**
 * Rows that were computed one by one as one tensor.
 *
 * @throws InferenceFailedError when they are not of one size
 */
export function stackRows(name: string, rows: readonly Tensor[]): Tensor {
  const [first] = rows;
  if (!first) throw new InferenceFailedError(`Output ${name} has no rows`);
  const { dtype, shape } = first;
  const other = rows.find((row) => row.shape.join() !== shape.join());
  if (other || shape[0] !== 1) {
    throw new InferenceFailedError(
      `Output ${name} has rows of the shapes [${shape.join(', ')}] and [${(other ?? first).shape.join(', ')}], which are no batch; send one row at a time`,
      { engine: 'onnx', output: name },
    );
  }
  const data = new Uint8Array(Buffer.concat(rows.map((row) => row.data)));
  return { dtype, shape: [rows.length, ...shape.slice(1)], data };
}

function toValues(dtype: DType, data: Uint8Array): OnnxValues {
  if (dtype === 'string') return unpackTexts(data);
  if (dtype === 'bool' || dtype === 'uint8') return data;
  const width = DTYPE_BYTES[dtype];
  // Typed arrays start at multiples of their elements.
  const { buffer, byteOffset, byteLength } = data.byteOffset % width === 0 ? data : data.slice();
  const length = byteLength / width;
  switch (dtype) {
    case 'float32':
      return new Float32Array(buffer, byteOffset, length);
    case 'float64':
      return new Float64Array(buffer, byteOffset, length);
    case 'float16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'int32':
      return new Int32Array(buffer, byteOffset, length);
    case 'int64':
      return new BigInt64Array(buffer, byteOffset, length);
  }
}

function bytesOf(values: OnnxValues): Uint8Array {
  if (!ArrayBuffer.isView(values)) return packTexts(values.map((text) => Buffer.from(text)));
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
