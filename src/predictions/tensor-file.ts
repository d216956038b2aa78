import {
  DTYPE_BYTES,
  type DType,
  elementCount,
  type NamedTensors,
  type Tensor,
} from '../common/tensor';
import { type TensorHeader } from './prediction.doc';
import { InputCorruptError } from './predictions.errors';

/**
 * The stored form of tensors, and the form in which their bytes are downloaded. Its digest is the
 * digest of the input.
 *
 * ```
 * uint64 LE   bytes of the header, padding included
 * JSON        { "<name>": { "dtype", "shape", "data_offsets": [begin, end] }, … }, names sorted,
 *             padded with spaces to a multiple of 8
 * bytes       the tensors in the order of the header, without gaps, little-endian, row-major
 * ```
 * These are the rules of safetensors, so its readers open the file. Only the dtype BYTES is our own,
 * for strings: each in UTF-8 behind its length as a uint32.
 */
const FILE_DTYPES = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  int32: 'I32',
  int64: 'I64',
  uint8: 'U8',
  bool: 'BOOL',
  string: 'BYTES',
} as const;

const DTYPES: ReadonlyMap<string, DType> = new Map(
  Object.entries(FILE_DTYPES).map(([dtype, name]) => [name, dtype as DType]),
);

const LENGTH_BYTES = 8;
const ALIGNMENT = 8;

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Equal tensors give equal bytes, in whatever order they come. */
export function encodeTensorFile(tensors: NamedTensors): Buffer {
  const sorted = Object.entries(tensors)
    .map(([name, { dtype, shape, data }]) => ({ name, dtype, shape, data }))
    .sort(byName);
  const dataBytes = sorted.reduce((sum, { data }) => sum + data.byteLength, 0);
  const file = encodeHeader(sorted, ({ data }) => data.byteLength, dataBytes);
  let at = file.length - dataBytes;
  for (const { data } of sorted) {
    file.set(data, at);
    at += data.byteLength;
  }
  return file;
}

/**
 * Everything in the file of these tensors that stands before their values; null where that cannot
 * be told from headers, because strings have a length of their own.
 */
export function encodeFileHeader(tensors: readonly TensorHeader[]): Buffer | null {
  if (tensors.some(({ dtype }) => DTYPE_BYTES[dtype] === 0)) return null;
  return encodeHeader(
    tensors.toSorted(byName),
    ({ dtype, shape }) => DTYPE_BYTES[dtype] * elementCount(shape),
  );
}

function byName(a: TensorHeader, b: TensorHeader): number {
  return a.name < b.name ? -1 : 1;
}

/** @param room bytes to leave for the values, behind the header */
function encodeHeader<T extends TensorHeader>(
  sorted: readonly T[],
  bytesOf: (tensor: T) => number,
  room = 0,
): Buffer {
  let end = 0;
  // Written by hand: this runs for every prediction, and an object would put names that look like
  // numbers first.
  const entries = sorted.map((tensor) => {
    const begin = end;
    end += bytesOf(tensor);
    const { name, dtype, shape } = tensor;
    return `${JSON.stringify(name)}:{"dtype":"${FILE_DTYPES[dtype]}","shape":[${shape.join(',')}],"data_offsets":[${begin},${end}]}`;
  });
  const json = `{${entries.join(',')}}`;
  const jsonBytes = Buffer.byteLength(json);
  const headerBytes = Math.ceil(jsonBytes / ALIGNMENT) * ALIGNMENT;
  const file = Buffer.allocUnsafe(LENGTH_BYTES + headerBytes + room);
  file.writeUInt32LE(headerBytes, 0);
  // The upper half of the length: no header is that long.
  file.writeUInt32LE(0, LENGTH_BYTES / 2);
  file.write(json, LENGTH_BYTES);
  file.fill(' ', LENGTH_BYTES + jsonBytes, LENGTH_BYTES + headerBytes);
  return file;
}

/**
 * The inverse of `encodeTensorFile`. Tensors are views of `file`.
 *
 * @throws InputCorruptError when the bytes do not keep to the format
 */
export function decodeTensorFile(file: Buffer): NamedTensors {
  try {
    const dataStart = LENGTH_BYTES + Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.toString('utf8', LENGTH_BYTES, dataStart)) as Record<
      string,
      HeaderEntry
    >;
    return Object.fromEntries(
      Object.entries(header).map(
        ([
          name,
          {
            dtype,
            shape,
            data_offsets: [begin, end],
          },
        ]) => [
          name,
          toTensor(DTYPES.get(dtype), shape, file.subarray(dataStart + begin, dataStart + end)),
        ],
      ),
    );
  } catch (cause) {
    if (cause instanceof InputCorruptError) throw cause;
    throw new InputCorruptError('A stored input cannot be read', {}, { cause });
  }
}

function toTensor(dtype: DType | undefined, shape: readonly number[], data: Uint8Array): Tensor {
  if (!dtype) throw new InputCorruptError('A stored input has elements of an unknown type');
  return { dtype, shape, data };
}
