import fc from 'fast-check';

import { BadSyntaxError } from '../../../src/common/errors';
import { findSyntaxFault } from '../../../src/http/json-syntax';
import { parseStrictJson } from '../../../src/http/strict-json';

const parse = (text: string | Uint8Array): unknown => parseStrictJson(Buffer.from(text));

function failureOf(text: string | Uint8Array): { code: string; kind: string; details: object } {
  try {
    parse(text);
  } catch (error) {
    return error as { code: string; kind: string; details: object };
  }
  throw new TypeError(`accepted ${String(text)}`);
}

describe('parseStrictJson', () => {
  it('reads any JSON as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 20 }), fc.nat(3), (value, indent) => {
        fc.pre(!JSON.stringify(value).includes('__proto__'));
        const text = JSON.stringify(value, null, indent);
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('refuses exactly what JSON.parse refuses, when keys are no question', () => {
    const pieces = ['[', ']', ',', '1', '-0.5e3', '"a"', '"\\u00e9"', 'true', 'null', ' ', '\n'];
    const noise = ['01', '1.', '+1', "'a'", '"\\x"', '"\t"', 'nul', '\u00e9', '"', '{', '}', ':'];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces, ...noise), { maxLength: 8 }), (parts) => {
        const text = parts.join('');
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          expect(failureOf(text)).toBeInstanceOf(BadSyntaxError);
          return;
        }
        expect(parse(text)).toEqual(expected);
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ['[1,2', 4],
    ['{"a":1}}', 7],
    ['[1 2]', 3],
    ['{"a" 1}', 5],
    ['{a:1}', 1],
    ['[1,]', 3],
    ['{"a":1,}', 7],
    ['"a\nb"', 2],
    ['["\\q"]', 2],
    ['[truth]', 1],
    ['"é" x', 4],
  ])('says where %j goes wrong (100)', (text, position) => {
    expect(failureOf(text)).toMatchObject({ kind: 'bad_syntax', details: { position } });
  });

  it.each(['[NaN]', '[Infinity]', '[-Infinity]'])('refuses the token in %s (65)', (text) => {
    expect(failureOf(text)).toMatchObject({ kind: 'bad_syntax', code: 'bad_json' });
    expect(findSyntaxFault(text).message).toContain('send it as the string');
  });

  it('refuses bytes that are no UTF-8 (100)', () => {
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc0, 0x80, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
    ]) {
      expect(failureOf(Uint8Array.from(bytes)).kind).toBe('bad_syntax');
    }
  });

  it('refuses a byte order mark, an empty body, and trailing garbage (100)', () => {
    for (const text of ['\ufeff{}', '', ' ', '{} x', '[1][2]', '1 2']) {
      expect(failureOf(text).kind).toBe('bad_syntax');
    }
  });

  it.each([
    '{"a":1,"a":2}',
    '{"a":1, "\\u0061" :2}',
    '[{"x":{"b":1,"c":[{"b":1}],"b":2}}]',
    '{"é":1,"\\u00e9":2}',
  ])('refuses the key that stands twice in %s (100)', (text) => {
    expect(failureOf(text)).toMatchObject({ kind: 'bad_syntax', code: 'bad_json' });
  });

  it('accepts equal keys in different objects, and keys as values', () => {
    const text = '[{"a":"a","b":["a","b"]},{"a":{"a":1}},{"b":"x: y","c":"\\"a\\":"}]';

    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each([
    '{"__proto__":{"admin":true}}',
    '[{"a":{"\\u005f_proto__":1}}]',
    '{"__proto\\u005f_":1}',
  ])('refuses %s (97)', (text) => {
    expect(failureOf(text).kind).toBe('bad_syntax');
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
  });

  it('takes 32 levels and refuses 33', () => {
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

    expect(parse(nested(32))).toEqual(JSON.parse(nested(32)));
    expect(failureOf(nested(33))).toMatchObject({ kind: 'invalid', code: 'json_too_complex' });
  });

  it.each(['[', '{"a":', '[{"a":'])('answers half a million levels of %s at once (72)', (mark) => {
    expect(failureOf(mark.repeat(500_000))).toMatchObject({ code: 'json_too_complex' });
  });

  it('refuses an object with more than a thousand keys', () => {
    const keys = Array.from({ length: 1001 }, (_, key) => `"k${key}":0`);

    expect(failureOf(`{${keys.join()}}`)).toMatchObject({ code: 'json_too_complex' });
    expect(parse(`{${keys.slice(1).join()}}`)).toHaveProperty('k1000', 0);
  });
});
