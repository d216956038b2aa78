let expanded: Float32Array | undefined;

/** Half floats (IEEE 754 binary16) as numbers, by a table of all 65,536 of them. */
export function expandHalfs(packed: Uint16Array): Float32Array {
  expanded ??= Float32Array.from({ length: 65_536 }, (_, bits) => halfToNumber(bits));
  const table = expanded;
  const values = new Float32Array(packed.length);
  for (let index = 0; index < packed.length; index++)
    values[index] = table[packed[index] ?? 0] ?? 0;
  return values;
}

/** The bits of the half float that is nearest to a number; of two equally near ones the even one. */
export function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  if (size >= 65_520) return sign | 0x7c00;
  // Below the smallest exponent all steps are equally long.
  const exponent = Math.max(Math.floor(Math.log2(Math.max(size, 2 ** -14))), -14);
  const steps = roundToEven(size / 2 ** (exponent - 10));
  // Steps that round up to the next power of two carry into the exponent by themselves.
  return sign | ((exponent + 14) * 1024 + steps);
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** The number that the bits of a half float stand for. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
