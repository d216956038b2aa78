import { isUtf8 } from 'node:buffer';

import { BadJsonError, JsonTooComplexError } from '../../http/strict-json';

/** As for all JSON here: a tensor of rank 16 as a named input needs 18. */
const MAX_DEPTH = 32;
const MAX_KEYS = 1000;

/** Powers of ten that a double holds exactly; so are their products with whole numbers of 15 digits rounded once. */
const POWERS = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));
const EXACT_DIGITS = 15;

/** The digits of the longest int64; more are no integer of any tensor. */
const MAX_INTEGER_DIGITS = 20;

const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const UPPER_E = 0x45;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const LOWER_E = 0x65;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Bytes that end a run inside a string: quote, backslash, control characters. */
const STRING_STOPS = new Uint8Array(256).fill(1, 0, 0x20);
STRING_STOPS[QUOTE] = 1;
STRING_STOPS[BACKSLASH] = 1;

const WORDS: readonly (readonly [word: Buffer, value: unknown])[] = [
  [Buffer.from('true'), true],
  [Buffer.from('false'), false],
  [Buffer.from('null'), null],
  [Buffer.from('NaN'), NaN],
  [Buffer.from('Infinity'), Infinity],
  [Buffer.from('Inf'), Infinity],
  [Buffer.from('-Infinity'), -Infinity],
  [Buffer.from('-Inf'), -Infinity],
];

/** A number without a fraction that was written with one, such as `1.0`: no value of an integer. */
export class WrittenFraction {
  constructor(readonly value: number) {}
}

/**
 * Reads the first JSON value of a body as TensorFlow Serving does: what follows it is ignored, and
 * NaN, Infinity and -Infinity may stand bare. What two readers could understand differently is
 * refused as everywhere: invalid UTF-8, keys that stand twice in an object, nesting without end.
 *
 * Every number has its exact value: what no double holds of an integer is a bigint. Where
 * `keepFractions` is set, `1.0` is told from `1`; it costs an object for each such number.
 *
 * @throws BadJsonError, JsonTooComplexError
 */
export function parseFirstJson(body: Buffer, keepFractions: boolean): unknown {
  return new FirstJson(body, keepFractions).read();
}

class FirstJson {
  private at = 0;

  constructor(
    private readonly body: Buffer,
    private readonly keepFractions: boolean,
  ) {}

  read(): unknown {
    const { body } = this;
    if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) {
      this.fail('The body starts with a byte order mark');
    }
    this.skipSpace();
    if (this.at === body.length) {
      throw new BadJsonError('JSON Parse error: The document is empty', { position: 0 });
    }
    const value = this.value(0);
    if (!isUtf8(body.subarray(0, this.at))) this.fail('The body is not valid UTF-8');
    return value;
  }

  /** Recursion ends with MAX_DEPTH. */
  private value(depth: number): unknown {
    const byte = this.body[this.at] ?? 0;
    if (byte >= ZERO && byte <= NINE) return this.number();
    if (byte === OPEN_LIST) return this.list(depth + 1);
    if (byte === OPEN_OBJECT) return this.object(depth + 1);
    if (byte === QUOTE) return this.string();
    for (const [word, value] of WORDS) {
      if (byte !== word[0] || !this.standsHere(word)) continue;
      this.at += word.length;
      return value;
    }
    if (byte === MINUS) return this.number();
    return this.fail(this.at < this.body.length ? 'Invalid value' : 'The text ends too early');
  }

  private standsHere(word: Buffer): boolean {
    return (
      word.compare(this.body, this.at, Math.min(this.body.length, this.at + word.length)) === 0
    );
  }

  private list(depth: number): unknown[] {
    this.assertDepth(depth);
    const { body } = this;
    const list: unknown[] = [];
    this.at++;
    this.skipSpace();
    if (body[this.at] === CLOSE_LIST) {
      this.at++;
      return list;
    }
    for (;;) {
      list.push(this.value(depth));
      this.skipSpace();
      const byte = body[this.at++];
      if (byte === COMMA) this.skipSpace();
      else if (byte === CLOSE_LIST) return list;
      else {
        this.at--;
        this.fail('Missing a comma or ] after an element of a list');
      }
    }
  }

  private object(depth: number): Record<string, unknown> {
    this.assertDepth(depth);
    const { body } = this;
    const object: Record<string, unknown> = {};
    this.at++;
    this.skipSpace();
    if (body[this.at] === CLOSE_OBJECT) {
      this.at++;
      return object;
    }
    for (let count = 1; ; count++) {
      const start = this.at;
      if (body[start] !== QUOTE) this.fail('Missing a name for a member of an object');
      const key = this.string();
      if (key === '__proto__' || Object.hasOwn(object, key)) {
        this.at = start;
        this.fail(
          key === '__proto__'
            ? 'The key __proto__ is not accepted'
            : `The key ${JSON.stringify(key.slice(0, 60))} stands twice in one object`,
        );
      }
      if (count > MAX_KEYS) {
        throw new JsonTooComplexError(`An object has more than ${MAX_KEYS} keys`, [], {
          position: start,
          maxKeys: MAX_KEYS,
        });
      }
      this.skipSpace();
      if (body[this.at] !== COLON) this.fail('Missing a colon after a name of an object');
      this.at++;
      this.skipSpace();
      object[key] = this.value(depth);
      this.skipSpace();
      const byte = body[this.at++];
      if (byte === COMMA) this.skipSpace();
      else if (byte === CLOSE_OBJECT) return object;
      else {
        this.at--;
        this.fail('Missing a comma or } after a member of an object');
      }
    }
  }

  private string(): string {
    const { body } = this;
    const start = this.at;
    let escaped = false;
    for (let at = start + 1; ; at++) {
      const byte = body[at];
      if (byte === undefined) {
        this.at = start;
        return this.fail('Missing a closing quotation mark in string');
      }
      if (STRING_STOPS[byte] === 0) continue;
      if (byte === QUOTE) {
        this.at = at + 1;
        return escaped ? this.unescape(start) : body.toString('utf8', start + 1, at);
      }
      if (byte !== BACKSLASH) {
        this.at = at;
        return this.fail('A control character in a string');
      }
      escaped = true;
      at++;
    }
  }

  private unescape(start: number): string {
    try {
      return JSON.parse(this.body.toString('utf8', start, this.at)) as string;
    } catch {
      this.at = start;
      return this.fail('Invalid escape character in string');
    }
  }

  private number(): number | bigint | WrittenFraction {
    const { body } = this;
    const start = this.at;
    let at = start;
    const isNegative = body[at] === MINUS;
    if (isNegative) at++;
    const first = at;
    let mantissa = 0;
    let byte = body[at] ?? 0;
    while (byte >= ZERO && byte <= NINE) {
      mantissa = mantissa * 10 + (byte - ZERO);
      byte = body[++at] ?? 0;
    }
    let digits = at - first;
    if (digits === 0 || (digits > 1 && body[first] === ZERO)) this.fail('Invalid value');
    let isWhole = true;
    let exponent = 0;
    if (byte === POINT) {
      isWhole = false;
      byte = body[++at] ?? 0;
      const point = at;
      while (byte >= ZERO && byte <= NINE) {
        mantissa = mantissa * 10 + (byte - ZERO);
        byte = body[++at] ?? 0;
      }
      exponent = point - at;
      digits -= exponent;
      if (exponent === 0) this.fail('Missing fraction part in number');
    }
    if (byte === LOWER_E || byte === UPPER_E) {
      isWhole = false;
      const end = this.endOfExponent(at + 1);
      exponent += Number(body.toString('latin1', at + 1, end));
      at = end;
    }
    this.at = at;
    let value: number;
    if (digits <= EXACT_DIGITS && exponent >= -22 && exponent <= 22) {
      if (exponent < 0) mantissa /= POWERS[-exponent] ?? 1;
      else if (exponent > 0) mantissa *= POWERS[exponent] ?? 1;
      value = isNegative ? -mantissa : mantissa;
    } else {
      const text = body.toString('latin1', start, at);
      value = Number(text);
      if (isWhole && digits < MAX_INTEGER_DIGITS && !Number.isSafeInteger(value)) {
        return BigInt(text);
      }
      if (!Number.isFinite(value)) {
        this.at = start;
        this.fail('Number too big to be stored in double');
      }
    }
    return !isWhole && this.keepFractions && Number.isInteger(value)
      ? new WrittenFraction(value)
      : value;
  }

  private endOfExponent(from: number): number {
    const { body } = this;
    const first = body[from] === MINUS || body[from] === PLUS ? from + 1 : from;
    let end = first;
    while ((body[end] ?? 0) >= ZERO && (body[end] ?? 0) <= NINE) end++;
    if (end === first) this.fail('Missing exponent in number');
    return end;
  }

  private skipSpace(): void {
    const { body } = this;
    let byte = body[this.at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = body[++this.at];
  }

  private assertDepth(depth: number): void {
    if (depth <= MAX_DEPTH) return;
    throw new JsonTooComplexError(`The body is nested deeper than ${MAX_DEPTH} levels`, [], {
      position: this.at,
      maxDepth: MAX_DEPTH,
    });
  }

  private fail(why: string): never {
    const position = this.at;
    throw new BadJsonError(`JSON Parse error: ${why}. at offset: ${position}`, { position });
  }
}
