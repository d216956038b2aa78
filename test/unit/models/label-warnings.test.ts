import { type Signature } from '../../../src/common/tensor';
import { labelWarnings } from '../../../src/models/label-warnings';

function giving(...shape: number[]): Signature {
  return { inputs: [], outputs: [{ name: 'scores', dtype: 'float32', shape }] };
}

describe('labelWarnings', () => {
  it('is silent where there is one label for each score, or nothing to compare', () => {
    expect(labelWarnings(['a', 'b', 'c'], giving(-1, 3))).toEqual([]);
    expect(labelWarnings(null, giving(-1, 3))).toEqual([]);
    expect(labelWarnings(['a', 'b'], giving(-1, -1))).toEqual([]);
    expect(labelWarnings(['a', 'b'], { inputs: [], outputs: [] })).toEqual([]);
  });

  it('says what there is where the numbers differ', () => {
    expect(labelWarnings(['a', 'b'], giving(-1, 10))).toEqual([
      expect.stringMatching(
        /^labels: 2 labels for the output scores, which has 10 numbers per row/,
      ),
    ]);
    expect(labelWarnings(['benign', 'malignant'], giving(-1, 1))).toEqual([
      expect.stringContaining('one number per row'),
    ]);
    expect(labelWarnings(['only'], giving(-1, 1))).toEqual([expect.stringContaining('1 label ')]);
  });
});
