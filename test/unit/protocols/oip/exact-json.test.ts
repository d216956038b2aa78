import { parseExactJson, replaceLong } from '../../../../src/protocols/oip/exact-json';

const read = (text: string, wantsLong = true): unknown =>
  replaceLong(parseExactJson(Buffer.from(text), wantsLong), (digits) => BigInt(digits));

describe('parseExactJson', () => {
  it.each([
    ['[9007199254740993,-9223372036854775808]', [9007199254740993n, -9223372036854775808n]],
    ['[9007199254740991,1234567890123456.5,1e20]', [9007199254740991, 1234567890123456.5, 1e20]],
    ['["9007199254740993","NaN \\" -Infinity"]', ['9007199254740993', 'NaN " -Infinity']],
    ['[NaN,-Infinity,Infinity]', ['NaN', '-Infinity', 'Infinity']],
    ['[0.12345678901234567890]', [0.12345678901234568]],
  ])('reads %s without rounding a whole number', (text, values) => {
    expect(read(text)).toEqual(values);
  });

  it('leaves long numbers to the parser where nobody wants them', () => {
    expect(read('[9007199254740993]', false)).toEqual([9007199254740992]);
  });

  it.each(['[NaNs]', '[-NaN]', '[09007199254740993]', '[9007199254740993', '"abc', '[1]2'])(
    'refuses %s as the native API does',
    (text) => {
      expect(() => read(text)).toThrow(/not JSON/);
    },
  );
});
