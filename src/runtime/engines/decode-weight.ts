import type { Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { dequantize } from '../dequantize';
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
  if (quantization) {
    const values = dequantize(dtype, quantization, bytes);
    if (values) return tf.tensor(values, shape, dtype);
    const stored = quantization.dtype;
    throw new ModelUnloadableError(
      `Weight ${name} of type ${dtype} cannot be stored as ${stored}`,
      { dtype, stored },
    );
  }
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
