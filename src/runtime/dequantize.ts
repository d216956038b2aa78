import { expandHalfs } from '../common/half-floats';

/** How a quantised weight is stored; without both numbers the steps are the values. */
export interface Quantization {
  readonly dtype: string;
  readonly scale?: number;
  readonly min?: number;
}

/**
 * Expands a quantised weight with the very arithmetic of TensorFlow.js.
 *
 * @returns null for a way of storing that there is not
 */
export function dequantize(
  dtype: string,
  { dtype: stored, scale = 1, min = 0 }: Quantization,
  bytes: ArrayBuffer,
): Float32Array | Int32Array | null {
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
  return null;
}
