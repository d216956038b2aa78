import type { io, Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { ModelUnloadableError } from '../runtime.errors';
import { type TfjsApi } from './tfjs-api';
import { type WeightBytes } from './weight-bytes';

/**
 * Makes the tensor of a weight, expanding quantised ones with the very arithmetic of the library.
 *
 * The library's own decoding copies each weight twice more and builds its tables for half floats
 * anew for every one.
 */
export function decodeWeight(tf: TfjsApi, weight: WeightBytes): TfTensor {
  const { spec, bytes } = weight;
  const { name, shape, dtype, quantization } = spec;
  if (quantization) return tf.tensor(dequantize(spec, quantization, bytes), shape, dtype);
  switch (dtype) {
    case 'float32':
      return tf.tensor(new Float32Array(bytes), shape, dtype);
    case 'int32':
      return tf.tensor(new Int32Array(bytes), shape, dtype);
    case 'bool':
      return tf.tensor(new Uint8Array(bytes), shape, dtype);
    case 'string':
    case 'complex64': {
      const tensor = tf.io.decodeWeights(bytes, [spec])[name];
      if (tensor) return tensor;
    }
  }
  throw new ModelUnloadableError(`Weight ${name} is of type ${dtype}, which is not known`, {
    dtype,
  });
}

type Quantization = NonNullable<io.WeightsManifestEntry['quantization']>;

function dequantize(
  { name, dtype }: io.WeightsManifestEntry,
  { dtype: stored, scale = 1, min = 0 }: Quantization,
  bytes: ArrayBuffer,
): Float32Array | Int32Array {
  if (stored === 'float16' && dtype === 'float32') return expandHalfs(new Uint16Array(bytes));
  const steps = stored === 'uint8' ? new Uint8Array(bytes) : new Uint16Array(bytes);
  if (stored !== 'float16' && dtype === 'float32') {
    const values = new Float32Array(steps.length);
    for (let index = 0; index < steps.length; index++) {
      values[index] = (steps[index] ?? 0) * scale + min;
    }
    return values;
  }
  if (stored !== 'float16' && dtype === 'int32') {
    return Int32Array.from(steps, (step) => Math.round(step * scale + min));
  }
  throw new ModelUnloadableError(`Weight ${name} of type ${dtype} cannot be stored as ${stored}`, {
    dtype,
    stored,
  });
}

let halfs: Float32Array | undefined;

/** Half floats by a table of all 65,536 of them. */
function expandHalfs(packed: Uint16Array): Float32Array {
  halfs ??= Float32Array.from({ length: 65_536 }, (_, bits) => halfToNumber(bits));
  const table = halfs;
  const values = new Float32Array(packed.length);
  for (let index = 0; index < packed.length; index++)
    values[index] = table[packed[index] ?? 0] ?? 0;
  return values;
}

/** IEEE 754 binary16. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
