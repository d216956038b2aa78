import { randomBytes } from 'node:crypto';

import { BSON } from 'mongodb';

import { inlineContent, toInputDoc, toStoredInput } from '../../../src/predictions/input-form';
import { digestOf, tensorInput } from '../../../src/predictions/prediction-input';
import { type InputDoc, type PredictionInput } from '../../../src/predictions/prediction.doc';
import { encodeTensorFile } from '../../../src/predictions/tensor-file';
import { aVector } from '../../support/prediction-records';

function stored(input: PredictionInput): InputDoc {
  const bytes = BSON.serialize(toInputDoc(input, inlineContent(input)));
  return BSON.deserialize(bytes, { promoteBuffers: true }) as InputDoc;
}

function withContent(content: Buffer, of = tensorInput(aVector(1, 2))): PredictionInput {
  return { ...of, content, bytes: content.length, digest: digestOf(content) };
}

const text = Buffer.from([1, 0, 0, 0, 65]);
const strings = { s: { dtype: 'string', shape: [1], data: text } } as const;
const shuffled = { ...aVector(1), a: { dtype: 'bool', shape: [3], data: randomBytes(3) } } as const;

describe('toStoredInput', () => {
  it.each<[string, PredictionInput]>([
    ['tensors', tensorInput(aVector(1, NaN))],
    ['tensors in another order', tensorInput(shuffled)],
    ['no tensors', tensorInput({})],
    ['strings', tensorInput(strings)],
    ['a file of another writer', withContent(Buffer.from('{"x":1}   and values'))],
    ['a file that is cut off', withContent(encodeTensorFile(aVector(1, 2)).subarray(0, 30))],
    [
      'an image',
      { ...withContent(randomBytes(20)), kind: 'image', contentType: 'image/png', filename: 'a' },
    ],
  ])('gives back the exact bytes of %s', (_what, input) => {
    const { digest, kind, contentType, bytes, content } = input;

    expect(toStoredInput(stored(input))).toEqual({ digest, kind, contentType, bytes, content });
  });
});

describe('inlineContent', () => {
  it('leaves out what the names, types and shapes tell', () => {
    expect(stored(tensorInput(aVector(1, 2)))).toMatchObject({
      tensors: ['float32[1,2] x'],
      content: Buffer.from(new Float32Array([1, 2]).buffer),
    });
  });
});
