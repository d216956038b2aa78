import { DTYPE_BYTES, type DType } from '../../common/tensor';
import { ModelUnloadableError } from '../runtime.errors';

/** A type as TensorFlow.js names it, as one of ours. */
export function specDType(dtype: string): DType {
  if (Object.hasOwn(DTYPE_BYTES, dtype)) return dtype as DType;
  throw new ModelUnloadableError(`Tensors of type ${dtype} have no plain form`, { dtype });
}
