import {
  countTaken,
  decideRowCap,
  MAX_BATCH_BYTES,
  type RowCapQuestion,
} from '../../../src/runtime/batch.policy';

const question: RowCapQuestion = {
  maxRows: 128,
  waitingRows: 1000,
  idleExecutors: 1,
  remainingMs: 30_000,
  msPerBatch: { '1': 1, '32': 16 },
};

describe('decideRowCap', () => {
  it.each<[string, Partial<RowCapQuestion>, number]>([
    ['the setting, when nothing was measured', { msPerBatch: {} }, 128],
    ['the setting, when rows cost little', { msPerBatch: { '1': 0.3, '32': 0.3 } }, 128],
    ['no more than a tenth of a second of rows that cost much', { msPerBatch: { '1': 40 } }, 2],
    ['at least one row, however slow', { msPerBatch: { '1': 500 } }, 1],
    ['what is over well before the deadline', { remainingMs: 40 }, 20],
    ['a share for each idle executor', { waitingRows: 30, idleExecutors: 2 }, 15],
    ['all for one executor when the call is short', { waitingRows: 3, idleExecutors: 2 }, 3],
  ])('allows %s', (_, changes, expected) => {
    expect(decideRowCap({ ...question, ...changes })).toBe(expected);
  });
});

describe('countTaken', () => {
  it.each<[string, readonly (readonly [rows: number, bytes: number])[], number]>([
    [
      'all that fit',
      [
        [1, 4],
        [2, 8],
        [3, 12],
      ],
      3,
    ],
    [
      'no more than the rows allowed',
      [
        [4, 4],
        [4, 4],
        [4, 4],
      ],
      2,
    ],
    [
      'nothing behind one that does not fit',
      [
        [4, 4],
        [8, 4],
        [1, 4],
      ],
      1,
    ],
    ['the first, however large', [[500, MAX_BATCH_BYTES * 2]], 1],
    [
      'no more than the bytes allowed',
      [
        [1, MAX_BATCH_BYTES],
        [1, 1],
      ],
      1,
    ],
  ])('takes %s', (_, shares, expected) => {
    const waiting = shares.map(([rows, bytes]) => ({ rows, bytes }));

    expect(countTaken(waiting, 10)).toBe(expected);
  });
});
