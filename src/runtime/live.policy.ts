import { type LoadableVersion } from '../models/version';

/** The rest stays free for versions that are asked for by number, and for the next live one. */
const PINNED_SHARE = 0.75;

/**
 * Which live versions stay in memory whatever else is asked for: the smallest first, so that as
 * many models as possible answer at once, and never so many that nothing else could be loaded.
 */
export function decidePins<T extends Pick<LoadableVersion, 'loadedBytes'>>(
  live: readonly T[],
  budgetBytes: number,
): readonly T[] {
  let left = budgetBytes * PINNED_SHARE;
  return [...live]
    .sort((a, b) => a.loadedBytes - b.loadedBytes)
    .filter(({ loadedBytes }) => {
      left -= loadedBytes;
      return left >= 0;
    });
}
