import { InvalidInputError } from '../../../src/common/errors';
import { type Signature, type TensorSpec } from '../../../src/common/tensor';
import { parseStrictJson } from '../../../src/http/strict-json';
import { readPredictRequest } from '../../../src/predictions/predict-request';
import { readQuickRequest } from '../../../src/predictions/quick-request';
import { randomNumbers } from '../../support/random-numbers';

const random = randomNumbers(7);

function taking(...inputs: Partial<TensorSpec>[]): Signature {
  return {
    inputs: inputs.map((input) => ({ name: 'x', dtype: 'float32', shape: [-1, 2], ...input })),
    outputs: [],
  };
}

/** The same body by the reader that takes everything. */
function slowly(body: Buffer, signature: Signature): unknown {
  return readPredictRequest(parseStrictJson(body), signature);
}

/** Lists of random numbers of a shape. */
function nested([size = 0, ...rest]: readonly number[]): unknown[] {
  return Array.from({ length: size }, () =>
    rest.length > 0 ? nested(rest) : (random() - 0.5) * 10 ** Math.floor(random() * 20 - 10),
  );
}

describe('the quick reader of predictions', () => {
  it.each([
    [
      [-1, 2],
      [1, 2],
    ],
    [
      [-1, 30],
      [7, 30],
    ],
    [
      [-1, 8, 8, 1],
      [2, 8, 8, 1],
    ],
    [
      [-1, -1, 3],
      [2, 5, 3],
    ],
    [[-1], [4]],
  ])('gives what the reader of everything gives: %j taking %j', (spec, sent) => {
    const signature = taking({ shape: spec });
    for (const key of ['instances', 'inputs']) {
      for (const space of [0, 1]) {
        const body = Buffer.from(JSON.stringify({ [key]: nested(sent) }, null, space));

        const quick = readQuickRequest(body, signature);

        expect(quick).not.toBeNull();
        expect(quick).toEqual(slowly(body, signature));
      }
    }
  });

  it.each([
    ['a key in front of the inputs', '{"id": "a", "instances": [[1, 2]]}'],
    ['a comma before the end', '{"instances": [[1, 2]], }'],
    ['both kinds of inputs', '{"instances": [[1, 2]], "inputs": [[1, 2]]}'],
    ['an id that stands twice', '{"instances": [[1, 2]], "id": "a", "id": "b"}'],
    ['a prototype', '{"instances": [[1, 2]], "__proto__": {}}'],
    ['a long tail', `{"instances": [[1, 2]], "id": "a"${' '.repeat(5000)}}`],
    ['a key that stands twice', '{"instances": [[1, 2]], "instances": [[3, 4]]}'],
    ['an odd float', '{"instances": [["NaN", 2]]}'],
    ['rows by name', '{"instances": [{"x": [1, 2]}]}'],
    ['columns by name', '{"inputs": {"x": [[1, 2]]}}'],
    ['a byte order mark', '\ufeff{"instances": [[1, 2]]}'],
    ['text behind the object', '{"instances": [[1, 2]]} {}'],
    ['an object without its end', '{"instances": [[1, 2]]'],
    ['an escaped key', '{"\\u0069nstances": [[1, 2]]}'],
    ['rows of another size', '{"instances": [[1, 2, 3]]}'],
    ['no rows', '{"instances": []}'],
    ['much white space in front', `${' '.repeat(70)}{"instances": [[1, 2]]}`],
    ['too many rows', JSON.stringify({ instances: Array(4097).fill([1, 2]) })],
    ['nothing', ''],
  ])('leaves %s to the reader of everything', (_, text) => {
    expect(readQuickRequest(Buffer.from(text), taking({}))).toBeNull();
  });

  it.each([
    '{"instances": [[1, 2]], "id": "a"}',
    '{"instances": [[1, 2]]\n,\t"tags": {"site": "north", "\u00fc": "\ud83d\ude00"} , "id": "\u00e9"} ',
    `{"instances": [[1, 2]]}${' '.repeat(70)}`,
  ])('reads an id and tags behind the inputs: %s', (text) => {
    const body = Buffer.from(text);

    expect(readQuickRequest(body, taking({}))).toEqual(slowly(body, taking({})));
  });

  it.each([
    '{"instances": [[1, 2]], "ids": "a"}',
    '{"instances": [[1, 2]], "id": 7}',
    '{"instances": [[1, 2]], "id": null}',
    '{"instances": [[1, 2]], "tags": {"a": 1}}',
  ])('refuses as the reader of everything does: %s', (text) => {
    const body = Buffer.from(text);
    const refusal = (read: typeof slowly): unknown => {
      try {
        return read(body, taking({}));
      } catch (error) {
        return error;
      }
    };

    expect(refusal(slowly)).toBeInstanceOf(InvalidInputError);
    expect(refusal(readQuickRequest)).toEqual(refusal(slowly));
  });

  it('leaves bytes that are no UTF-8 to the reader of everything', () => {
    const body = Buffer.concat([
      Buffer.from('{"instances": [[1, 2]], "id": "'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ]);

    expect(readQuickRequest(body, taking({}))).toBeNull();
  });

  it.each([
    ['two inputs', taking({}, { name: 'y' })],
    ['other types', taking({ dtype: 'int32' })],
    ['float64', taking({ dtype: 'float64' })],
    ['no batches', taking({ shape: [1, 2] })],
    ['no inputs', taking()],
  ])('leaves signatures with %s to the reader of everything', (_, signature) => {
    expect(readQuickRequest(Buffer.from('{"instances": [[1, 2]]}'), signature)).toBeNull();
  });
});
