import { expandHalfs } from '../common/half-floats';
import { type DType, type Tensor } from '../common/tensor';

const FLOATS: ReadonlySet<DType> = new Set(['float32', 'float64', 'float16']);

/** Whether rounding may tell two right answers of a type apart. */
export function isRounded(dtype: DType): boolean {
  return FLOATS.has(dtype);
}

/** The numbers of a tensor of floats. */
export function floatsOf({ dtype, data }: Tensor): Float32Array | Float64Array {
  const { buffer } = data.slice();
  if (dtype === 'float64') return new Float64Array(buffer);
  return dtype === 'float16' ? expandHalfs(new Uint16Array(buffer)) : new Float32Array(buffer);
}
