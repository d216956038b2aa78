import { type Prediction } from '../../../src/predictions/prediction.doc';
import { QualityTally, type ReadableVersion } from '../../../src/quality/quality-tally';

const VERSION: ReadableVersion = {
  signature: { inputs: [], outputs: [{ name: 'y', dtype: 'float32', shape: [-1, 2] }] },
  labels: ['cat', 'dog'],
};

/** A prediction of scores for `cat` and `dog`, row by row. */
function scored(...scores: number[]): Prediction {
  const rows = scores.length / 2;
  const data = new Float32Array(scores);
  const top = Array.from({ length: rows }, (_, row) => {
    const [cat = 0, dog = 0] = scores.slice(2 * row);
    return [{ label: cat >= dog ? 'cat' : 'dog', score: Math.max(cat, dog) }];
  });
  return {
    rows,
    top,
    outputs: [
      {
        name: 'y',
        dtype: 'float32',
        shape: [rows, 2],
        data: Buffer.from(data.buffer),
      },
    ],
  } as unknown as Prediction;
}

describe('QualityTally', () => {
  it('counts what was right, per class, with its confusion and its loss', () => {
    const tally = new QualityTally();

    tally.add(scored(0.75, 0.25, 0.5, 0.5), { labels: ['cat', 'dog'] }, VERSION);
    tally.add(scored(0.25, 0.75), { labels: ['dog'] }, VERSION);
    tally.add(scored(1, 0), { labels: ['cat'] }, VERSION);

    expect(tally.report()).toEqual({
      predictions: 3,
      mismatched: 0,
      classification: {
        rows: 4,
        accuracy: 0.75,
        logLoss: expect.closeTo(-(Math.log(0.75) * 2 + Math.log(0.5)) / 4, 10),
        classes: [
          { label: 'cat', support: 2, predicted: 3, precision: 2 / 3, recall: 1 },
          { label: 'dog', support: 2, predicted: 1, precision: 1, recall: 0.5 },
        ],
        confusion: [
          { truth: 'cat', predicted: 'cat', rows: 2 },
          { truth: 'dog', predicted: 'cat', rows: 1 },
          { truth: 'dog', predicted: 'dog', rows: 1 },
        ],
      },
      regression: [],
    });
  });

  it('bounds the loss of a truth that was given no chance', () => {
    const tally = new QualityTally();

    tally.add(scored(1, 0), { labels: ['dog'] }, VERSION);

    expect(tally.report().classification?.logLoss).toBeCloseTo(-Math.log(1e-15));
  });

  it.each([
    ['scores that are no probabilities', scored(7, -2), 'cat', VERSION],
    ['a truth that the version does not know', scored(0.5, 0.5), 'cow', VERSION],
    ['a version that is gone', scored(0.5, 0.5), 'cat', null],
  ])('has no loss for %s', (_what, prediction, label, version) => {
    const tally = new QualityTally();

    tally.add(prediction, { labels: [label] }, version);

    expect(tally.report().classification).toMatchObject({ rows: 1, logLoss: null });
  });

  it('measures the errors of numbers by output', () => {
    const tally = new QualityTally();

    tally.add(scored(1, 2), { values: [{ values: [0, 4] }] }, VERSION);
    tally.add(scored(1, 2), { values: [{ name: 'y', values: [1, 3] }] }, VERSION);

    expect(tally.report()).toMatchObject({
      classification: null,
      regression: [{ output: 'y', values: 4, meanAbsoluteError: 1, meanSquaredError: 1.5 }],
    });
  });

  it.each([
    [{ labels: ['cat', 'dog'] }],
    [{ values: [{ values: [1] }] }],
    [{ values: [{ name: 'z', values: [1, 2] }] }],
  ])('counts %j, which does not fit, apart', (truth) => {
    const tally = new QualityTally();

    tally.add(scored(1, 0), truth, VERSION);

    expect(tally.report()).toMatchObject({
      predictions: 1,
      mismatched: 1,
      classification: null,
      regression: [],
    });
  });
});
