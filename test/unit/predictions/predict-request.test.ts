import { type InvalidInputError } from '../../../src/common/errors';
import { type Signature } from '../../../src/common/tensor';
import { readPredictRequest } from '../../../src/predictions/predict-request';

const signature: Signature = {
  inputs: [{ name: 'x', dtype: 'float32', shape: [-1, 1] }],
  outputs: [],
};
const instances = [[1]];
const read = (body: unknown) => readPredictRequest(body, signature);

function failureOf(body: unknown): InvalidInputError {
  try {
    read(body);
  } catch (error) {
    return error as InvalidInputError;
  }
  throw new TypeError('accepted');
}

describe('readPredictRequest', () => {
  it('reads rows or columns, with what the caller says about them', () => {
    expect(read({ instances, id: 'mine', tags: { a: 'b' } })).toMatchObject({
      form: 'rows',
      rows: 1,
      callerId: 'mine',
      tags: { a: 'b' },
    });
    expect(read({ inputs: [[1], [2]] })).toMatchObject({ form: 'columns', rows: 2, tags: {} });
    expect(read({ instances }).callerId).toBeUndefined();
  });

  it.each([[[1]], [null], ['text'], [5], [undefined]])('cannot read %j as a body (98)', (body) => {
    expect(failureOf(body).kind).toBe('bad_syntax');
  });

  it.each([
    ['instance', 'did you mean instances?'],
    ['Instances', 'did you mean instances?'],
    ['input', 'did you mean inputs?'],
    ['tag', 'did you mean tags?'],
    ['signature_name', 'is not known here'],
    ['state', 'is not known here'],
    ['tenant', 'is not known here'],
    ['toString', 'is not known here'],
  ])('refuses the unknown key %s and says: %s (99)', (key, hint) => {
    const { details } = failureOf({ instances, [key]: 1 });

    expect(details['faults']).toEqual([
      { path: key, message: expect.stringMatching(hint.replace('?', '\\?')) as string },
    ]);
  });

  it('wants exactly one form', () => {
    expect(failureOf({}).kind).toBe('invalid');
    expect(failureOf({ instances, inputs: [[1]] }).kind).toBe('invalid');
    expect(failureOf({ instances: undefined, inputs: [[1]] }).kind).toBe('invalid');
  });

  it.each([5, '', null, {}, 'x'.repeat(257), '\ud800', 'a\0b', ['a']])(
    'refuses the id %j (71, 89)',
    (id) => {
      expect(failureOf({ instances, id }).details).toMatchObject({ faults: [{ path: 'id' }] });
    },
  );

  it('takes ids of any script, up to 256 characters', () => {
    const id = '𝒳'.repeat(256);

    expect(read({ instances, id }).callerId).toBe(id);
  });

  it.each([
    ['text'],
    [[]],
    [null],
    [{ a: 1 }],
    [{ $a: 'b' }],
    [{ 'a.b': 'c' }],
    [{ a: { b: 'c' } }],
    [{ a: 'x'.repeat(600) }],
    [Object.fromEntries(Array.from({ length: 101 }, (_, key) => [`k${key}`, '']))],
  ])('refuses the tags %j (73, 89)', (tags) => {
    expect(failureOf({ instances, tags }).details).toMatchObject({ faults: [{ path: 'tags' }] });
  });
});
