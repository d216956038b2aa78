import {
  decideLoad,
  decideSpread,
  type LoadedCopy,
  type LoadDecision,
  type PoolView,
  type SlotView,
} from '../../../src/runtime/pool.policy';

function copy(key: string, bytes: number, rest: Partial<LoadedCopy> = {}): LoadedCopy {
  return { key, bytes, lastUsedAtMs: 0, leased: false, ...rest };
}

function slot(id: number, copies: readonly LoadedCopy[] = [], busy = false): SlotView {
  return { slot: id, busy, copies };
}

function view(candidates: readonly SlotView[], rest: Partial<PoolView> = {}): PoolView {
  return { candidates, others: [], pinned: new Set(), budgetBytes: 100, ...rest };
}

const wanted = { key: 'w', bytes: 40 };

describe('decideLoad', () => {
  const cases: [string, PoolView, LoadDecision][] = [
    [
      'loads onto the only executor of an empty pool',
      view([slot(1)]),
      { kind: 'load', slot: 1, evict: [] },
    ],
    [
      'prefers an idle executor to a busy one with less in memory',
      view([slot(1, [], true), slot(2, [copy('a', 10)])]),
      { kind: 'load', slot: 2, evict: [] },
    ],
    [
      'prefers the executor with the least in memory among idle ones',
      view([slot(1, [copy('a', 20)]), slot(2, [copy('b', 10)])]),
      { kind: 'load', slot: 2, evict: [] },
    ],
    [
      'fills the budget to its last byte without evicting',
      view([slot(1, [copy('a', 60)])]),
      { kind: 'load', slot: 1, evict: [] },
    ],
    [
      'evicts the least recently used when one byte is missing',
      view([slot(1, [copy('a', 31, { lastUsedAtMs: 5 }), copy('b', 30, { lastUsedAtMs: 3 })])]),
      { kind: 'load', slot: 1, evict: [{ slot: 1, key: 'b' }] },
    ],
    [
      'evicts as many as it takes, oldest first, from whichever executor has them',
      view([
        slot(1, [copy('a', 45, { lastUsedAtMs: 9 })]),
        slot(2, [copy('b', 20, { lastUsedAtMs: 1 }), copy('c', 20, { lastUsedAtMs: 2 })]),
      ]),
      {
        kind: 'load',
        slot: 2,
        evict: [
          { slot: 2, key: 'b' },
          { slot: 2, key: 'c' },
        ],
      },
    ],
    [
      'makes room among the executors of other engines too',
      view([slot(1)], { others: [slot(7, [copy('a', 90)])] }),
      { kind: 'load', slot: 1, evict: [{ slot: 7, key: 'a' }] },
    ],
    [
      'passes over a leased copy, however long unused (132)',
      view([
        slot(1, [
          copy('a', 50, { lastUsedAtMs: 1, leased: true }),
          copy('b', 50, { lastUsedAtMs: 2 }),
        ]),
      ]),
      { kind: 'load', slot: 1, evict: [{ slot: 1, key: 'b' }] },
    ],
    [
      'refuses to evict the last copy of a pinned version (131)',
      view([slot(1, [copy('a', 90)])], { pinned: new Set(['a']) }),
      { kind: 'refuse', because: 'now' },
    ],
    [
      'evicts a spare copy of a pinned version, and only that (131)',
      view(
        [
          slot(1, [copy('a', 50, { lastUsedAtMs: 1 })]),
          slot(2, [copy('a', 50, { lastUsedAtMs: 2 })]),
        ],
        { pinned: new Set(['a']) },
      ),
      { kind: 'load', slot: 1, evict: [{ slot: 1, key: 'a' }] },
    ],
    [
      'evicts nothing when what may go is not enough (131)',
      view([slot(1, [copy('a', 70, { leased: true }), copy('b', 5)])]),
      { kind: 'refuse', because: 'now' },
    ],
    [
      'says that a version larger than the budget never fits (131)',
      view([slot(1)], { budgetBytes: 39 }),
      { kind: 'refuse', because: 'never' },
    ],
    ['refuses while no executor of the engine is up', view([]), { kind: 'refuse', because: 'now' }],
  ];

  it.each(cases)('%s', (_, given, expected) => {
    expect(decideLoad(given, wanted)).toEqual(expected);
  });
});

describe('decideSpread', () => {
  const cases: [string, PoolView, number | null][] = [
    [
      'picks the idle executor with the least in memory that lacks the version',
      view([slot(1, [copy('w', 40)], true), slot(2, [copy('a', 9)]), slot(3, [copy('b', 5)])]),
      3,
    ],
    [
      'leaves alone executors that are busy',
      view([slot(1, [copy('w', 40)], true), slot(2, [], true)]),
      null,
    ],
    [
      'leaves alone executors that have it',
      view([slot(1, [copy('w', 40)]), slot(2, [copy('w', 40)])]),
      null,
    ],
    [
      'never takes the place of another version for a spare copy',
      view([slot(1, [copy('w', 40)], true), slot(2, [copy('a', 21)])]),
      null,
    ],
  ];

  it.each(cases)('%s', (_, given, expected) => {
    expect(decideSpread(given, wanted)).toBe(expected);
  });
});
