import { type NamedTensors, type Signature, type Tensor } from '../../../src/common/tensor';
import { outputsToJson } from '../../../src/predictions/outputs-json';
import { topLabels } from '../../../src/predictions/top-labels';

function floats(shape: readonly number[], values: readonly number[]): Tensor {
  return { dtype: 'float32', shape, data: new Uint8Array(Float32Array.from(values).buffer) };
}

function gives(...names: string[]): Signature {
  return {
    inputs: [],
    outputs: names.map((name) => ({ name, dtype: 'float32', shape: [-1, 2] })),
  };
}

describe('outputsToJson', () => {
  it('answers rows with the bare value of the only output', () => {
    const outputs = { y: floats([2, 2], [1, 2, 3, 4]) };

    expect(outputsToJson(outputs, gives('y'), 'rows', 2)).toEqual({
      predictions: [
        [1, 2],
        [3, 4],
      ],
    });
  });

  it('answers rows with objects when there are several outputs, in the order of the signature', () => {
    const outputs = { b: floats([2, 1, 1], [5, 6]), a: floats([2], [1, 2]) };

    const answer = outputsToJson(outputs, gives('a', 'b'), 'rows', 2);

    expect(JSON.stringify(answer)).toBe('{"predictions":[{"a":1,"b":[[5]]},{"a":2,"b":[[6]]}]}');
  });

  it('always answers columns by name', () => {
    const outputs = { y: floats([1, 2], [1, 2]), s: floats([], [3]) };

    expect(outputsToJson(outputs, gives('y', 's'), 'columns', 1)).toEqual({
      outputs: { y: [[1, 2]], s: 3 },
    });
  });

  it('writes NaN and infinities as strings (84)', () => {
    const outputs = { y: floats([2, 2], [NaN, 1, Infinity, -Infinity]) };

    expect(outputsToJson(outputs, gives('y'), 'rows', 2)).toEqual({
      predictions: [
        ['NaN', 1],
        ['Infinity', '-Infinity'],
      ],
    });
  });

  it('writes floats so that they parse to the very same float32', () => {
    const values = Float32Array.from([0.1, 1 / 3, 1e-45, 3.4028234663852886e38, -0.7]);
    const outputs = { y: floats([1, 5], [...values]) };

    const text = JSON.stringify(outputsToJson(outputs, gives('y'), 'rows', 1));

    const parsed = JSON.parse(text) as { predictions: number[][] };
    expect(Float32Array.from(parsed.predictions[0]!)).toEqual(values);
    expect(parsed.predictions[0]).toEqual([...values]);
  });

  it('reads bytes at any offset, booleans and strings', () => {
    const shifted = new Uint8Array(9);
    shifted.set(new Uint8Array(Float32Array.from([1.5, 2.5]).buffer), 1);
    const outputs: NamedTensors = {
      f: { dtype: 'float32', shape: [1, 2], data: shifted.subarray(1) },
      b: { dtype: 'bool', shape: [1, 2], data: Uint8Array.of(1, 0) },
      s: { dtype: 'string', shape: [1, 2], data: Buffer.from('\x02\0\0\0é\0\0\0\0') },
    };

    expect(outputsToJson(outputs, gives('f', 'b', 's'), 'columns', 1)).toEqual({
      outputs: { f: [[1.5, 2.5]], b: [[true, false]], s: [['é', '']] },
    });
  });

  it('gives a single row an output without a batch dimension whole', () => {
    const outputs = { boxes: floats([2, 2], [1, 2, 3, 4]), count: floats([], [2]) };

    expect(outputsToJson(outputs, gives('boxes', 'count'), 'rows', 1)).toEqual({
      predictions: [
        {
          boxes: [
            [1, 2],
            [3, 4],
          ],
          count: 2,
        },
      ],
    });
  });

  it('refuses to cut into rows what has none, and says what to do', () => {
    const outputs = { y: floats([3], [1, 2, 3]) };

    expect(() => outputsToJson(outputs, gives('y'), 'rows', 2)).toThrow('send inputs instead');
  });
});

describe('topLabels', () => {
  const letters = ['a', 'b', 'c', 'd', 'e', 'f'];

  it('ranks up to five labels per row, the first of equal ones first', () => {
    const outputs = { y: floats([2, 6], [0, 5, 1, 5, 2, 3, 6, 5, 4, 3, 2, 1]) };

    const top = topLabels(outputs, gives('y'), letters, 2);

    expect(top?.map((row) => row.map(({ label }) => label).join(''))).toEqual(['bdfec', 'abcde']);
    expect(top?.[0]?.[0]).toEqual({ label: 'b', score: 5 });
  });

  it('leaves out scores that cannot be ranked', () => {
    const outputs = { y: floats([1, 6], [NaN, 1, Infinity, 2, -Infinity, 0]) };

    expect(topLabels(outputs, gives('y'), letters, 1)).toEqual([
      [
        { label: 'd', score: 2 },
        { label: 'b', score: 1 },
        { label: 'f', score: 0 },
      ],
    ]);
  });

  it.each([
    ['there are no labels', floats([1, 6], [1, 2, 3, 4, 5, 6]), null],
    ['there is another number of scores', floats([1, 3], [1, 2, 3]), letters],
    ['the scores are per pixel', floats([1, 2, 6], Array<number>(12).fill(0)), letters],
  ])('answers nothing when %s', (_why, output, labels) => {
    expect(topLabels({ y: output }, gives('y'), labels, 1)).toBeUndefined();
  });

  it('looks at the first output of the signature', () => {
    const outputs = {
      z: floats([1, 6], [1, 0, 0, 0, 0, 0]),
      a: floats([1, 6], [0, 0, 0, 0, 0, 1]),
    };

    expect(topLabels(outputs, gives('a', 'z'), letters, 1)?.[0]?.[0]?.label).toBe('f');
  });
});
