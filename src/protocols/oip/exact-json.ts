import { parseStrictJson } from '../../http/strict-json';

/** Digits that a double may not hold. */
const LONG_DIGITS = 16;

/** Stands before the digits of a whole number that was too long to be read as one. */
const MARK = '\u0001';
const WRITTEN_MARK = '"\\u0001';

const QUOTE = 0x22;
const MINUS = 0x2d;
const BACKSLASH = 0x5c;
const ODD = ['NaN', 'Infinity', '-Infinity'];

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Reads JSON as strictly as the native API, and two things that JSON has not: whole numbers of any
 * length, as text of their digits, and the bare words NaN, Infinity and -Infinity, as strings.
 *
 * Python writes both. Numbers are looked through only where it can matter.
 *
 * @param wantsLong whether whole numbers beyond 2^53 are to be kept, for `replaceLong`
 * @throws BadJsonError, JsonTooComplexError
 */
export function parseExactJson(body: Buffer, wantsLong: boolean): unknown {
  const hasWords = body.includes('NaN') || body.includes('Infinity');
  if (!wantsLong && !hasWords) return parseStrictJson(body);
  const edits = findEdits(body);
  return parseStrictJson(edits.length === 0 ? body : apply(body, edits));
}

/** The digits of a number that was too long to be read as one, or null. */
function longDigits(value: unknown): string | null {
  return typeof value === 'string' && value.startsWith(MARK) ? value.slice(1) : null;
}

/** The same lists with another thing in place of each long number; lists without any stay. */
export function replaceLong(value: unknown, use: (digits: string) => unknown): unknown {
  if (Array.isArray(value)) {
    return hasLong(value) ? value.map((item) => replaceLong(item, use)) : value;
  }
  const digits = longDigits(value);
  return digits === null ? value : use(digits);
}

function hasLong(list: readonly unknown[]): boolean {
  return list.some((item) => (Array.isArray(item) ? hasLong(item) : longDigits(item) !== null));
}

/** Looks at numbers and words outside of strings; what is no JSON is left to the parser. */
function findEdits(body: Buffer): Edit[] {
  const edits: Edit[] = [];
  const end = body.length;
  let at = 0;
  while (at < end) {
    const byte = body[at] ?? 0;
    if (byte === QUOTE) {
      at = endOfString(body, at);
    } else if (isWord(byte)) {
      const start = at;
      while (at < end && isWord(body[at] ?? 0)) at++;
      const edit = editOf(body, start, at);
      if (edit) edits.push(edit);
    } else at++;
  }
  return edits;
}

function endOfString(body: Buffer, start: number): number {
  let at = start + 1;
  while (at < body.length && body[at] !== QUOTE) at += body[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

/** Digits, letters, signs and dots: what numbers and words are made of. */
function isWord(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === MINUS ||
    byte === 0x2b ||
    byte === 0x2e
  );
}

function editOf(body: Buffer, start: number, end: number): Edit | null {
  const length = end - start;
  const first = body[start] ?? 0;
  const isNumber = first === MINUS || (first >= 0x30 && first <= 0x39);
  if (isNumber && length >= LONG_DIGITS) {
    const digits = body.toString('latin1', start, end);
    if (/^-?[1-9][0-9]{15,}$/.test(digits) && !Number.isSafeInteger(Number(digits))) {
      return { start, end, text: `${WRITTEN_MARK}${digits}"` };
    }
  }
  if (length < 3 || length > 9) return null;
  const word = body.toString('latin1', start, end);
  return ODD.includes(word) ? { start, end, text: `"${word}"` } : null;
}

function apply(body: Buffer, edits: readonly Edit[]): Buffer {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const { start, end, text } of edits) {
    pieces.push(body.subarray(at, start), Buffer.from(text));
    at = end;
  }
  pieces.push(body.subarray(at));
  return Buffer.concat(pieces);
}
