import { decideRecycle, type RecycleQuestion } from '../../../src/runtime/recycle.policy';

const GIB = 1024 ** 3;
const steady: RecycleQuestion = {
  now: { tensors: 100, rssBytes: 0.9 * GIB },
  atLoad: { tensors: 100, rssBytes: 0.3 * GIB },
  loadedBytes: 0,
};

describe('decideRecycle', () => {
  it.each<[string, Partial<RecycleQuestion>, string | null]>([
    ['keeps an executor of ordinary size', {}, null],
    [
      'replaces one that grew without large models',
      { now: { tensors: 100, rssBytes: 2 * GIB } },
      'it has grown to 2048 MiB, 1024 MiB are allowed',
    ],
    [
      'keeps one as large as its models make it',
      { now: { tensors: 100, rssBytes: 2 * GIB }, loadedBytes: GIB },
      null,
    ],
    [
      'replaces one that gains tensors',
      { now: { tensors: 1_101, rssBytes: 0 } },
      'it has gained 1001 tensors since its last load',
    ],
    [
      'keeps one that has fewer tensors after an unload',
      { now: { tensors: 0, rssBytes: 0 } },
      null,
    ],
  ])('%s', (_, changes, expected) => {
    expect(decideRecycle({ ...steady, ...changes })).toBe(expected);
  });
});
