/** A view of one float32 as its bits. */
const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

const MANTISSA_BITS = 23;
const MANTISSA_MASK = 0x7fffff;
const HIDDEN_BIT = 0x800000;
const EXPONENT_BIAS = 127;

/** Nine digits tell any float32 from its neighbours. */
const MAX_DIGITS = 9;

/**
 * By the exponent of a float32: the power of ten that gives its number at least nine digits before
 * the point, and fewer than 31 bits.
 */
const POWERS = Array.from(
  { length: 2 * EXPONENT_BIAS + 1 },
  (_, exponent) => MAX_DIGITS - 1 - Math.floor(Math.log10(2 ** (exponent - EXPONENT_BIAS))),
);
const SCALES = POWERS.map((power) => Number(`1e${power}`));

/**
 * How much of the distance to a neighbour is left to certainty: far more than the few roundings of
 * doubles here amount to.
 */
const DOUBT = 1e-5;

/** A decimal: `digits` times ten to the `exponent`. */
export interface Decimal {
  digits: number;
  exponent: number;
}

/**
 * Finds the decimal with the fewest digits that is read as this float32, and of those the nearest.
 *
 * Read means: as a double, and that rounded to float32. JavaScript itself prints the double that
 * equals a float32, 0.1 as 0.10000000149011612.
 *
 * @param value a positive, finite float32
 * @param found is overwritten: an object for each number would cost more than the search
 */
export function findDecimal(value: number, found: Decimal): void {
  FLOAT[0] = value;
  const bits = BITS[0] ?? 0;
  const exponent = bits >>> MANTISSA_BITS;
  const mantissa = bits & MANTISSA_MASK;
  // Below a power of two its neighbour is nearer than above, and the smallest numbers have fewer
  // bits: neither is worth a way of its own.
  if (exponent === 0 || mantissa === 0) {
    search(value, found);
    return;
  }
  const scaled = value * (SCALES[exponent] ?? 1);
  // What is nearer than half the distance to the next float32 is read as this one.
  const half = scaled / (2 * (mantissa + HIDDEN_BIT));
  found.digits = Math.round(scaled);
  found.exponent = -(POWERS[exponent] ?? 0);
  for (let unit = 10; ; unit *= 10) {
    const fewer = Math.round(scaled / unit);
    const distance = Math.abs(fewer * unit - scaled);
    if (distance > half * (1 + DOUBT)) return;
    if (distance > half * (1 - DOUBT)) {
      search(value, found);
      return;
    }
    found.digits = fewer;
    found.exponent++;
  }
}

/** The same by trying: one digit, two, and so on. */
function search(value: number, found: Decimal): void {
  for (let count = 1; ; count++) {
    const text = value.toExponential(count - 1);
    const mark = text.indexOf('e');
    const nearest = Number(text.slice(0, mark).replace('.', ''));
    found.exponent = Number(text.slice(mark + 1)) - (count - 1);
    // Above a power of two there is room for a decimal that is not the nearest.
    for (found.digits = nearest; found.digits <= nearest + 1; found.digits++) {
      if (Math.fround(Number(`${found.digits}e${found.exponent}`)) === value) return;
    }
  }
}
