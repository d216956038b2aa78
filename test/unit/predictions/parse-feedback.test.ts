import { type Fault } from '../../../src/common/errors';
import {
  BadFeedbackError,
  parseFeedbackLine,
  parseTruth,
} from '../../../src/predictions/parse-feedback';

const ID = '6b0179fe9ecacdb3156eb26b';

function pathsOf(read: () => unknown): string[] {
  try {
    read();
  } catch (error) {
    if (error instanceof BadFeedbackError) {
      return (error.details['faults'] as Fault[]).map(({ path }) => path);
    }
    throw error;
  }
  return [];
}

describe('parseTruth', () => {
  it.each([
    [{ label: '7' }, { labels: ['7'] }],
    [
      { label: ['7', '$x'], source: 'me' },
      { labels: ['7', '$x'], source: 'me' },
    ],
    [{ values: 1.5 }, { values: [{ values: [1.5] }] }],
    [{ values: [[1], [2, 3]] }, { values: [{ values: [1, 2, 3] }] }],
    [
      { values: { age: [3], 'a.b': 4 } },
      {
        values: [
          { name: 'age', values: [3] },
          { name: 'a.b', values: [4] },
        ],
      },
    ],
  ])('reads %j', (body, truth) => {
    expect(parseTruth(body)).toEqual(truth);
  });

  it.each([
    [null, ['']],
    [[], ['']],
    [{}, ['']],
    [{ label: '7', values: 7 }, ['']],
    [{ label: 7 }, ['label']],
    [{ label: [] }, ['label']],
    [{ label: ['7', ''] }, ['label[1]']],
    [{ label: '\ud800' }, ['label']],
    [{ label: 'a\0' }, ['label']],
    [{ values: [] }, ['values']],
    [{ values: [1, null] }, ['values']],
    [{ values: ['1'] }, ['values']],
    [{ values: new Array(16_385).fill(1) }, ['values']],
    [{ label: '7', source: 3, $set: {} }, ['source', '$set']],
  ])('refuses %j', (body, paths) => {
    expect(pathsOf(() => parseTruth(body))).toEqual(paths);
  });
});

describe('parseFeedbackLine', () => {
  it('reads the id of a prediction, and the id of a caller', () => {
    expect(parseFeedbackLine({ predictionId: ID.toUpperCase(), label: '7' }).target).toEqual({
      predictionId: ID,
    });
    expect(parseFeedbackLine({ model: 'm', callerId: 'a:b', values: 7 }).target).toEqual({
      model: 'm',
      callerId: 'a:b',
    });
  });

  it.each([
    [{ label: '7' }, ['model', 'callerId']],
    [{ label: '7', model: 'm' }, ['callerId']],
    [{ label: '7', callerId: 'c' }, ['model']],
    [{ label: '7', predictionId: 'x' }, ['predictionId']],
    [{ label: '7', predictionId: ID, callerId: 'c' }, ['predictionId']],
    [{ predictionId: { $gt: '' }, label: 1 }, ['predictionId', 'label']],
  ])('refuses %j', (body, paths) => {
    expect(pathsOf(() => parseFeedbackLine(body))).toEqual(paths);
  });
});
