import fc from 'fast-check';

import { JsonWriter } from '../../../../src/protocols/tfserving/json-writer';

function written(write: (json: JsonWriter) => void): string {
  const json = new JsonWriter();
  write(json);
  return json.take().toString();
}

const float32 = (value: number): string =>
  written((json) => {
    json.float32(value);
  });

const WHOLE = /^-?[0-9]+\.0$/;
const JSON_NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e[+-][1-9][0-9]*)?$/;

describe('the JSON of TensorFlow Serving', () => {
  it.each([
    [0, '0.0'],
    [-0, '-0.0'],
    [1, '1.0'],
    [-100, '-100.0'],
    [123456.789, '123456.79'],
    [16777216, '16777216.0'],
    [0.1, '0.1'],
    [-0.001, '-0.001'],
    [1.5e-6, '0.0000015'],
    [1e-7, '1e-7'],
    [-1.25e-10, '-1.25e-10'],
    [1e20, '100000000000000000000.0'],
    [1.5e21, '1.5e+21'],
    [3.4028234663852886e38, '3.4028235e+38'],
    [NaN, 'NaN'],
    [-Infinity, '-Infinity'],
  ])('writes the float32 %p as %s', (value, text) => {
    expect(float32(Math.fround(value))).toBe(text);
  });

  it('writes every float32 as a number of JSON that is read as the same', () => {
    const any = fc.float({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(any, (value) => {
        const text = float32(value);
        expect(text).toMatch(JSON_NUMBER);
        expect(Object.is(Math.fround(JSON.parse(text) as number), value)).toBe(true);
        if (Number.isInteger(value) && Math.abs(value) < 1e21) expect(text).toMatch(WHOLE);
      }),
      { numRuns: 1000 },
    );
  });

  it('writes every double as JavaScript does, and whole ones with .0', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const text = written((json) => {
          json.float64(value);
        });
        expect(text).toMatch(JSON_NUMBER);
        expect(Object.is(JSON.parse(text), value)).toBe(true);
        expect(/[.e]/.test(text)).toBe(true);
      }),
    );
  });

  it('writes texts as JSON has them, however long', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 5000, size: 'max' }), (text) => {
        const json = written((writer) => {
          writer.text(text);
          writer.mark(',');
          writer.integer(9007199254740993n);
        });
        expect(json).toBe(`${JSON.stringify(text)},9007199254740993`);
      }),
    );
  });

  it('holds what was written when its memory grows', () => {
    const values = Float32Array.from({ length: 10_000 }, (_, at) => at / 7);

    const json = written((writer) => {
      writer.mark('[');
      writer.float32s(values, 0, values.length);
      writer.mark(']');
    });

    expect(Float32Array.from(JSON.parse(json) as number[])).toEqual(values);
  });
});
