import fc from 'fast-check';

import { type NamedTensors } from '../../../src/common/tensor';
import { compareOutputs, type Replayed, ReplayTally } from '../../../src/quality/replay-tally';

function floats(...values: number[]): NamedTensors {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return { scores: { dtype: 'float32', shape: [1, values.length], data } };
}

describe('compareOutputs', () => {
  it.each([
    ['the same bytes', floats(1, 2), floats(1, 2), 'bitwise', 0],
    ['NaN beside the same NaN', floats(NaN), floats(NaN), 'bitwise', 0],
    ['zeros of either sign', floats(0), floats(-0), 'withinTolerance', 0],
    ['a rounding apart', floats(1), floats(1 + 2 ** -20), 'withinTolerance', 2 ** -20],
    ['a step apart near nothing', floats(0), floats(2 ** -20), 'withinTolerance', 2 ** -20],
    ['further apart', floats(1, 2), floats(1, 2.5), 'differing', 0.5],
    ['a number instead of NaN (84)', floats(NaN), floats(1), 'incomparable', 0],
    ['an infinity of the other sign (84)', floats(Infinity), floats(-Infinity), 'incomparable', 0],
    ['another shape', floats(1), floats(1, 1), 'incomparable', 0],
    ['another name', floats(1), { other: floats(1)['scores']! }, 'incomparable', 0],
    ['an output more', floats(1), { ...floats(1), more: floats(1)['scores']! }, 'incomparable', 0],
  ] as const)('calls %s by its name', (_what, recorded, again, kind, maxDifference) => {
    expect(compareOutputs(recorded, again)).toEqual({ kind, maxDifference });
  });

  it('never calls two different numbers the same bytes', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), fc.float({ noNaN: true }), (a, b) => {
        const { kind } = compareOutputs(floats(a), floats(b));
        expect(kind === 'bitwise').toBe(Object.is(Math.fround(a), Math.fround(b)));
      }),
    );
  });
});

describe('ReplayTally', () => {
  const seven = [[{ label: '7', score: 0.9 }]];
  const one = [[{ label: '1', score: 0.6 }]];
  const replayed = (overrides: Partial<Replayed> = {}): Replayed => ({
    predictionId: 'a',
    rows: 1,
    recorded: floats(1),
    own: floats(1),
    candidate: floats(1),
    ...overrides,
  });

  it('adds up agreement, differences and changed labels', () => {
    const tally = ReplayTally.start();
    tally.add(replayed({ recordedTop: seven, candidateTop: seven, truth: ['7'] }));
    tally.add(
      replayed({ candidate: floats(1.5), recordedTop: seven, candidateTop: one, truth: ['7'] }),
    );
    tally.add(replayed({ own: floats(2), candidate: floats(NaN), truth: ['1'] }));
    tally.skip({ predictionId: 'b', code: 'input_missing', message: 'gone' });

    const report = tally.report(3);

    expect(report).toMatchObject({
      candidate: 3,
      records: 3,
      rows: 3,
      skipped: { count: 1, byCode: { input_missing: 1 } },
      own: { bitwise: 2, withinTolerance: 0, differing: 1, incomparable: 0 },
      agreement: { bitwise: 1, withinTolerance: 0, differing: 1, incomparable: 1 },
      differences: { max: 0.5, mean: 0.25 },
      labels: { compared: 2, changed: 1, changedShare: 0.5 },
      truth: {
        rows: 2,
        recordedRight: 2,
        candidateRight: 1,
        recordedAccuracy: 1,
        candidateAccuracy: 0.5,
      },
    });
    expect(report.own.examples).toEqual([{ predictionId: 'a', maxDifference: 1 }]);
    expect(report.labels.examples).toEqual([
      { predictionId: 'a', row: 0, from: seven[0]![0], to: one[0]![0] },
    ]);
    expect(report.differences.histogram.filter(({ count }) => count > 0)).toEqual([
      { upTo: 0, count: 1 },
      { upTo: 1, count: 1 },
    ]);
  });

  it('says that there was nothing to compare rather than that nothing changed', () => {
    expect(ReplayTally.start().report(1).labels.changedShare).toBeNull();
  });

  it('goes on from what it saved as if it had never stopped', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true })), fc.nat(), (values, at) => {
        const whole = ReplayTally.start();
        let resumed = ReplayTally.start();
        values.forEach((value, index) => {
          if (index === at % (values.length + 1)) {
            resumed = ReplayTally.resume(JSON.parse(JSON.stringify(resumed.save())) as object);
          }
          for (const tally of [whole, resumed]) tally.add(replayed({ candidate: floats(value) }));
        });
        expect(resumed.report(1)).toEqual(whole.report(1));
      }),
    );
  });
});
