import fc from 'fast-check';

import { BadJsonError, JsonTooComplexError } from '../../../../src/http/strict-json';
import { parseFirstJson, WrittenFraction } from '../../../../src/protocols/tfserving/first-json';

const parse = (text: string, keepFractions = false): unknown =>
  parseFirstJson(Buffer.from(text), keepFractions);

/** As `JSON.parse` has it, which rounds what no double holds. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('the first JSON value of a body', () => {
  it('is what JSON.parse reads, whatever follows', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom('', ' ', '}', 'x', '\u0000'), (text, rest) => {
        fc.pre(!text.includes('__proto__'));
        const expected = JSON.parse(text) as unknown;
        expect(plain(parse(`[${text}]${rest}`))).toEqual([expected]);
      }),
      { numRuns: 1000 },
    );
  });

  it('has every number as the nearest double, however it is written', () => {
    const digits = fc.stringMatching(
      /^-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?$/,
    );
    fc.assert(
      fc.property(digits, (text) => {
        const value = parse(text);
        const number = Number(text);
        if (typeof value === 'bigint') {
          expect(Number.isSafeInteger(number)).toBe(false);
          expect(value).toBe(BigInt(text));
        } else expect(Object.is(value, number)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['-9223372036854775808', -9223372036854775808n],
    ['9223372036854775807', 9223372036854775807n],
    ['NaN', NaN],
    ['-Infinity', -Infinity],
    ['"\\u00e4\\n"', 'ä\n'],
    ['-0', -0],
  ])('reads %s', (text, value) => {
    expect(parse(text)).toEqual(value);
  });

  it('tells a whole number from one that was written with a fraction, where that matters', () => {
    expect(parse('[1,1.0,1e0,1.5,10e-1]', true)).toEqual([
      1,
      new WrittenFraction(1),
      new WrittenFraction(1),
      1.5,
      new WrittenFraction(1),
    ]);
    expect(parse('[1,1.0]')).toEqual([1, 1]);
  });

  it('reads a broken text as JSON.parse would, or refuses it with an error of its own', () => {
    const marks = fc.constantFrom(',', ':', ']', '"', '\\', '-', '.', '\u0001');
    fc.assert(
      fc.property(fc.json(), fc.nat(), marks, (text, at, mark) => {
        const place = at % (text.length + 1);
        const broken = `[${text.slice(0, place)}${mark}${text.slice(place)}]`;
        let read: unknown;
        try {
          read = plain(parse(broken));
        } catch (error) {
          expect(error).toBeInstanceOf(BadJsonError);
          // What JSON.parse passes over, or rounds to infinity.
          if (/stands twice|too big/.test((error as Error).message)) return;
          expect(() => JSON.parse(broken) as unknown).toThrow(SyntaxError);
          return;
        }
        // What stands behind the first value is no fault.
        if (isJson(broken)) expect(read).toEqual(JSON.parse(broken));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['', 'The document is empty'],
    ['[1 2]', 'at offset: 3'],
    ['{"a" 1}', 'at offset: 5'],
    ['{"a":1,}', 'at offset: 7'],
    ['[01]', 'at offset: 1'],
    ['[1.]', 'Missing fraction part'],
    ['[1e]', 'Missing exponent'],
    ['[-]', 'Invalid value'],
    ['[-Inf', 'at offset: 5'],
    ['[tru]', 'Invalid value'],
    ['["a', 'Missing a closing quotation mark'],
    ['["\\x"]', 'Invalid escape'],
    ['["\n"]', 'control character'],
    ['{"a":1,"\\u0061":2}', 'stands twice'],
    ['{"__pr\\u006fto__":1}', '__proto__'],
    ['\ufeff{}', 'byte order mark'],
    ['[1e309]', 'Number too big'],
  ])('refuses %j', (text, why) => {
    expect(() => parse(text)).toThrow(BadJsonError);
    expect(() => parse(text)).toThrow(why);
  });

  it('refuses bytes that are no UTF-8, before the end of the value', () => {
    const body = Buffer.from('{"a":"\xff"}', 'latin1');
    expect(() => parseFirstJson(body, false)).toThrow('not valid UTF-8');
    expect(parseFirstJson(Buffer.from('{"a":1}\xff', 'latin1'), false)).toEqual({ a: 1 });
  });

  it('refuses nesting without end (72), and more keys than any request needs (73)', () => {
    const keys = Array.from({ length: 1001 }, (_, at) => `"k${at}":1`).join();
    expect(() => parse('['.repeat(1_000_000))).toThrow(JsonTooComplexError);
    expect(() => parse('{"a":'.repeat(1_000_000))).toThrow(JsonTooComplexError);
    expect(() => parse(`{${keys}}`)).toThrow(JsonTooComplexError);
    expect(parse('['.repeat(32) + ']'.repeat(32))).toBeDefined();
  });

  it('reads numbers of any length', () => {
    expect(parse(`[${'1'.repeat(300)},0.${'1'.repeat(1_000_000)}]`)).toEqual([
      Number('1'.repeat(300)),
      Number(`0.${'1'.repeat(30)}`),
    ]);
  });
});
