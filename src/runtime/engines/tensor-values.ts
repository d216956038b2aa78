import type { DataTypeMap, Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { type DType, type Tensor } from '../../common/tensor';
import { packTexts, unpackTexts } from '../../common/text-bytes';
import { TensorMismatchError } from '../runtime.errors';
import { type TfjsApi } from './tfjs-api';

/** The types that TensorFlow.js computes with. */
const TF_DTYPES = ['float32', 'int32', 'bool', 'string'] as const satisfies readonly DType[];
type TfDType = (typeof TF_DTYPES)[number];

/**
 * Makes an engine's tensor from plain bytes.
 *
 * @throws TensorMismatchError for a type that only other engines have
 */
export function toTfTensor(tf: TfjsApi, { dtype, shape, data }: Tensor): TfTensor {
  if (!isTfDType(dtype)) throw new TensorMismatchError(`TensorFlow.js has no type ${dtype}`);
  return tf.tensor(toValues(dtype, data), [...shape], dtype);
}

/** Reads an engine's tensor into plain bytes. */
export async function fromTfTensor(name: string, tensor: TfTensor): Promise<Tensor> {
  const { dtype, shape } = tensor;
  if (!isTfDType(dtype)) {
    throw new TensorMismatchError(`Output ${name} is of type ${dtype}, which has no plain form`);
  }
  return { dtype, shape, data: await readBytes(tensor, dtype) };
}

function isTfDType(dtype: string): dtype is TfDType {
  return (TF_DTYPES as readonly string[]).includes(dtype);
}

function toValues(
  dtype: TfDType,
  data: Uint8Array,
): DataTypeMap['float32'] | Int32Array | Uint8Array | string[] {
  switch (dtype) {
    case 'float32': {
      const { buffer, byteOffset, byteLength } = aligned(data);
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    }
    case 'int32': {
      const { buffer, byteOffset, byteLength } = aligned(data);
      return new Int32Array(buffer, byteOffset, byteLength / 4);
    }
    case 'bool':
      return data;
    case 'string':
      return unpackTexts(data);
  }
}

/** Typed arrays of four-byte elements start at multiples of four. */
function aligned(data: Uint8Array): Uint8Array {
  return data.byteOffset % 4 === 0 ? data : data.slice();
}

/**
 * Some kernels fill a tensor with values of another type than it says, e.g. a count of boxes: the
 * type that it says is the one that counts.
 */
async function readBytes(tensor: TfTensor, dtype: TfDType): Promise<Uint8Array> {
  if (dtype === 'string') return packTexts((await tensor.bytes()) as Uint8Array[]);
  const values: ArrayLike<number> | BigInt64Array = await tensor.data();
  if (values instanceof BigInt64Array) return bytesOf(narrowed(values));
  switch (dtype) {
    case 'float32':
      return bytesOf(values instanceof Float32Array ? values : Float32Array.from(values));
    case 'int32':
      return bytesOf(values instanceof Int32Array ? values : Int32Array.from(values));
    case 'bool':
      return bytesOf(values instanceof Uint8Array ? values : Uint8Array.from(values));
  }
}

/** The native library gives 64-bit integers as they are, under the name of 32-bit ones. */
function narrowed(values: BigInt64Array): Int32Array {
  const wide = values.find((value) => BigInt.asIntN(32, value) !== value);
  if (wide === undefined) return Int32Array.from(values, Number);
  throw new TensorMismatchError(`An output holds ${wide}, which 32 bits cannot hold`);
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
