import { NotCompiledError } from '../runtime.errors';
import { dequantize, type Quantization } from '../dequantize';
import { type ComputedType, type Constant, type Elements } from './constant';

/** One weight as a weights manifest describes it. */
export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: Quantization;
}

/**
 * A weight of a TensorFlow.js model. One that is stored quantised stays so until it is read.
 *
 * @param bytes a buffer that holds it and nothing else
 * @throws NotCompiledError for a type that compiled models do not compute with
 */
export function toConstant(spec: WeightSpec, bytes: ArrayBuffer): Constant {
  const { name, dtype, shape, quantization } = spec;
  const unknown = (): NotCompiledError =>
    new NotCompiledError(`Weight ${name} of type ${dtype} is not compiled`);
  const weight = (type: ComputedType, read: () => Elements): Constant => ({
    dtype: type,
    shape,
    recipe: { kind: 'weight', name },
    read,
  });
  if (quantization) {
    if ((dtype !== 'float32' && dtype !== 'int32') || !isKnown(dtype, quantization)) {
      throw unknown();
    }
    return weight(dtype, () => {
      const values = dequantize(dtype, quantization, bytes);
      if (values) return values;
      throw unknown();
    });
  }
  switch (dtype) {
    case 'float32':
      return weight(dtype, () => new Float32Array(bytes));
    case 'int32':
      return weight(dtype, () => new Int32Array(bytes));
    case 'bool':
      return weight(dtype, () => new Uint8Array(bytes));
    default:
      throw unknown();
  }
}

/** Whether there is such a way of storing: told by a weight without elements. */
function isKnown(dtype: string, quantization: Quantization): boolean {
  return dequantize(dtype, quantization, new ArrayBuffer(0)) !== null;
}
