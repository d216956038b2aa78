import { halfToNumber } from '../../common/half-floats';

/** Types of weights that become float32, with the bytes of one element. */
export const FLOAT_TYPES: ReadonlyMap<string, number> = new Map([
  ['float16', 2],
  ['float32', 4],
  ['float64', 8],
  // How Keras stores bfloat16, which HDF5 has no name for.
  ['bytes2', 2],
]);

/** Little-endian floats of any of `FLOAT_TYPES` as float32; float64 is rounded, the others are exact. */
export function toFloat32(bytes: Uint8Array, type: string): Uint8Array {
  if (type === 'float32') return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = FLOAT_TYPES.get(type) ?? 4;
  const values = new Float32Array(bytes.byteLength / size);
  const bits = new Uint32Array(values.buffer);
  for (let index = 0; index < values.length; index++) {
    if (type === 'float64') values[index] = view.getFloat64(index * 8, true);
    else if (type === 'float16') values[index] = halfToNumber(view.getUint16(index * 2, true));
    else bits[index] = view.getUint16(index * 2, true) << 16;
  }
  return new Uint8Array(values.buffer);
}
