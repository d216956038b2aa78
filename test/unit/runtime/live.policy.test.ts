import { decidePins } from '../../../src/runtime/live.policy';

describe('decidePins', () => {
  it.each<[string, readonly number[], readonly number[]]>([
    ['all that fit into three quarters of the budget', [40, 10, 25], [10, 25, 40]],
    ['the small ones when not all fit', [60, 10, 25], [10, 25]],
    ['none that alone is too large', [76], []],
    ['nothing where nothing is live', [], []],
  ])('keeps %s', (_, live, kept) => {
    const versions = live.map((loadedBytes) => ({ loadedBytes }));

    expect(decidePins(versions, 100).map(({ loadedBytes }) => loadedBytes)).toEqual(kept);
  });
});
