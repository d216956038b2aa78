import { NotCompiledError } from '../runtime.errors';
import { dequantize, type Quantization } from '../dequantize';
import { type Constant } from './constant';

/** One weight as a weights manifest describes it. */
export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: Quantization;
}

/**
 * A weight of a TensorFlow.js model.
 *
 * @param bytes a buffer that holds it and nothing else
 * @throws NotCompiledError for a type that compiled models do not compute with
 */
export function toConstant(spec: WeightSpec, bytes: ArrayBuffer): Constant {
  const { name, dtype, shape, quantization } = spec;
  if (quantization) {
    const values = dequantize(dtype, quantization, bytes);
    if (values instanceof Float32Array) return { dtype: 'float32', shape, values };
    if (values) return { dtype: 'int32', shape, values };
  } else if (dtype === 'float32') return { dtype, shape, values: new Float32Array(bytes) };
  else if (dtype === 'int32') return { dtype, shape, values: new Int32Array(bytes) };
  else if (dtype === 'bool') return { dtype, shape, values: new Uint8Array(bytes) };
  throw new NotCompiledError(`Weight ${name} of type ${dtype} is not compiled`);
}
