import { type Decimal, findDecimal } from '../../common/float32-decimal';

/** No number takes more: a minus, 21 digits, a point and a zero; or an exponent behind 17 digits. */
const MAX_NUMBER_BYTES = 28;
const START_BYTES = 1024;

/** JavaScript writes numbers of more places out of these with an exponent, and so does this. */
const MAX_PLACES = 21;
const MIN_PLACES = -6;

const ZERO = 0x30;
const COMMA = 0x2c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const EXPONENT = 0x65;

/**
 * Writes the JSON of TensorFlow Serving, straight into bytes.
 *
 * It differs from that of JavaScript: a float32 has the digits that tell it from other float32 and
 * no more, whole floats end in `.0`, int64 are digits however long, and NaN and infinities stand
 * bare, as its clients read them.
 */
export class JsonWriter {
  private bytes = Buffer.allocUnsafe(START_BYTES);
  private at = 0;
  private readonly decimal: Decimal = { digits: 0, exponent: 0 };

  /** What was written; the writer is not to be used after it. */
  take(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  /** Marks and words of JSON. */
  mark(ascii: string): void {
    this.reserve(ascii.length);
    for (let index = 0; index < ascii.length; index++) {
      this.bytes[this.at++] = ascii.charCodeAt(index);
    }
  }

  text(text: string): void {
    const json = JSON.stringify(text);
    this.reserve(json.length * 3);
    this.at += this.bytes.write(json, this.at);
  }

  integer(value: number | bigint): void {
    this.mark(String(value));
  }

  float64(value: number): void {
    if (!Number.isFinite(value)) {
      this.mark(String(value));
      return;
    }
    const text = Object.is(value, -0) ? '-0' : String(value);
    this.mark(Number.isInteger(value) && !text.includes('e') ? `${text}.0` : text);
  }

  float32(value: number): void {
    if (!Number.isFinite(value)) {
      this.mark(String(value));
      return;
    }
    this.reserve(MAX_NUMBER_BYTES);
    if (value < 0 || Object.is(value, -0)) this.bytes[this.at++] = MINUS;
    if (value === 0) this.mark('0.0');
    else {
      findDecimal(Math.abs(value), this.decimal);
      this.writeDecimal(this.decimal);
    }
  }

  /** Numbers from `start` to `end` with commas between them. */
  float32s(values: Float32Array, start: number, end: number): void {
    for (let index = start; index < end; index++) {
      if (index > start) {
        this.reserve(1);
        this.bytes[this.at++] = COMMA;
      }
      this.float32(values[index] ?? 0);
    }
  }

  private writeDecimal({ digits, exponent }: Decimal): void {
    const count = countDigits(digits);
    /** Where the point stands, counted from the first digit. */
    const places = count + exponent;
    if (places > MAX_PLACES || places < MIN_PLACES + 1) {
      this.writeExponential(digits, count, places - 1);
    } else if (places <= 0) {
      this.bytes[this.at++] = ZERO;
      this.bytes[this.at++] = POINT;
      this.writeZeros(-places);
      this.writeDigits(digits, count);
    } else if (exponent >= 0) {
      this.writeDigits(digits, count);
      this.writeZeros(exponent);
      this.bytes[this.at++] = POINT;
      this.bytes[this.at++] = ZERO;
    } else {
      this.writeWithPoint(digits, count, places);
    }
  }

  private writeExponential(digits: number, count: number, exponent: number): void {
    if (count > 1) this.writeWithPoint(digits, count, 1);
    else this.writeDigits(digits, count);
    this.bytes[this.at++] = EXPONENT;
    this.bytes[this.at++] = exponent < 0 ? MINUS : PLUS;
    const size = Math.abs(exponent);
    this.writeDigits(size, countDigits(size));
  }

  /** @param places digits before the point */
  private writeWithPoint(digits: number, count: number, places: number): void {
    this.at++;
    this.writeDigits(digits, count);
    const start = this.at - count - 1;
    this.bytes.copyWithin(start, start + 1, start + 1 + places);
    this.bytes[start + places] = POINT;
  }

  private writeDigits(digits: number, count: number): void {
    let rest = digits;
    for (let place = this.at + count - 1; place >= this.at; place--) {
      const tens = Math.floor(rest / 10);
      this.bytes[place] = ZERO + rest - tens * 10;
      rest = tens;
    }
    this.at += count;
  }

  private writeZeros(count: number): void {
    for (let index = 0; index < count; index++) this.bytes[this.at++] = ZERO;
  }

  private reserve(count: number): void {
    if (this.at + count <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + count));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
  }
}

function countDigits(whole: number): number {
  let count = 1;
  for (let limit = 10; whole >= limit; limit *= 10) count++;
  return count;
}
