import { GroupCommit, type Outcome } from '../../../src/predictions/group-commit';

const LOST = new TypeError('lost');
const LIMITS = { maxItems: 3, maxBytes: 100, maxUnderWay: 2 };

/** Writes that end when the test says so. */
function held(): {
  readonly groups: string[][];
  readonly finish: (fail?: Error) => void;
  readonly write: (items: readonly string[]) => Promise<Outcome<string>[]>;
} {
  const groups: string[][] = [];
  const ends: ((fail?: Error) => void)[] = [];
  return {
    groups,
    finish: (fail) => ends.shift()?.(fail),
    write: async (items) => {
      groups.push([...items]);
      const fail = await new Promise<Error | undefined>((resolve) => ends.push(resolve));
      if (fail) throw fail;
      return items.map((item) =>
        item.startsWith('bad')
          ? { kind: 'failed', cause: `no ${item}` }
          : { kind: 'done', value: `did ${item}` },
      );
    },
  };
}

const turn = async (): Promise<void> => {
  await new Promise((resolve) => setImmediate(resolve));
};

describe('GroupCommit', () => {
  it('writes what comes in one turn together, up to its limits, two groups at once', async () => {
    const { groups, write, finish } = held();
    const commit = new GroupCommit(write, LIMITS);

    const adding = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((item) => commit.add(item, 1));
    await turn();
    expect(groups).toEqual([
      ['a', 'b', 'c'],
      ['d', 'e', 'f'],
    ]);
    finish();
    await turn();
    expect(groups[2]).toEqual(['g']);
    finish();
    finish();

    expect(await Promise.all(adding)).toEqual(
      ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((item) => `did ${item}`),
    );
  });

  it('bounds the bytes of a group, but lets a large item go alone', async () => {
    const { groups, write } = held();
    const commit = new GroupCommit(write, LIMITS);

    void commit.add('huge', 1000);
    void commit.add('a', 60);
    void commit.add('b', 60);
    await turn();

    expect(groups).toEqual([['huge'], ['a']]);
  });

  it('fails each item for its own cause, and a whole group for that of the group', async () => {
    const { write, finish } = held();
    const commit = new GroupCommit(write, LIMITS);

    const first = Promise.allSettled(['a', 'bad1', 'b'].map((item) => commit.add(item, 1)));
    const second = Promise.allSettled(['c', 'd'].map((item) => commit.add(item, 1)));
    await turn();
    finish();
    finish(LOST);

    expect((await first).map((result) => ('reason' in result ? result.reason : 'done'))).toEqual([
      'done',
      'no bad1',
      'done',
    ]);
    expect((await second).map((result) => 'reason' in result && result.reason)).toEqual([
      LOST,
      LOST,
    ]);
  });

  it('goes on after a failure', async () => {
    const { write, finish } = held();
    const commit = new GroupCommit(write, { ...LIMITS, maxUnderWay: 1 });
    const failing = commit.add('a', 1);
    await turn();
    const next = commit.add('b', 1);
    finish(LOST);
    await expect(failing).rejects.toBe(LOST);
    await turn();
    finish();

    expect(await next).toBe('did b');
  });
});
