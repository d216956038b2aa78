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
