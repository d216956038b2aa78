import {
  BadQueryError,
  flag,
  keyValue,
  many,
  oneOf,
  PAGE_PARAMETERS,
  readQuery,
  text,
  time,
  wholeNumber,
} from '../../../src/http/query';

const READERS = {
  name: text,
  color: oneOf(['red', 'blue']),
  count: wholeNumber(1, 10),
  dry: flag,
  at: time,
  tag: many(keyValue),
  ...PAGE_PARAMETERS,
};

/** A request as Express gives it with its simple query parser. */
function read(query: string) {
  const params = new URLSearchParams(query);
  const parsed = Object.fromEntries(
    [...new Set(params.keys())].map((key) => {
      const values = params.getAll(key);
      return [key, values.length === 1 ? values[0] : values];
    }),
  );
  return readQuery({ query: parsed }, READERS);
}

describe('readQuery', () => {
  it('reads each parameter as what it is, and lists where several may stand', () => {
    expect(read('name=a&color=red&count=10&dry=true&tag=a:b&tag=c:d:e&limit=1000')).toEqual({
      name: 'a',
      color: 'red',
      count: 10,
      dry: true,
      tag: [
        { key: 'a', value: 'b' },
        { key: 'c', value: 'd:e' },
      ],
      limit: 1000,
    });
    expect(read('')).toEqual({});
  });

  it('reads times with and without zones, and with an unescaped plus', () => {
    for (const [given, expected] of [
      ['2026-01-31', '2026-01-31T00:00:00.000Z'],
      ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z'],
      ['2026-01-31T12:00:00.123Z', '2026-01-31T12:00:00.123Z'],
      ['2026-01-31T12:00:00%2B02:00', '2026-01-31T10:00:00.000Z'],
      ['2026-01-31T12:00:00+02:00', '2026-01-31T10:00:00.000Z'],
    ]) {
      expect(read(`at=${given}`).at?.toISOString()).toBe(expected);
    }
  });

  it.each([
    ['name[$ne]=x', 88],
    ['name[$regex]=.*', 88],
    ['__proto__=x', 88],
    ['constructor=x', 88],
    ['name=a&name=b', 91],
    ['count=1&count=1', 91],
    ['fields=$password', 93],
    ['color=green', 93],
    ['color=toString', 93],
    ['limit=-1', 95],
    ['limit=0', 95],
    ['limit=1e9', 95],
    ['limit=1000000000', 95],
    ['limit=abc', 95],
    ['limit=', 95],
    ['limit=1.0', 95],
    ['at=99999-01-01', 96],
    ['at=2026-13-01', 96],
    ['at=2026-02-31T25:00:00Z', 96],
    ['at=now', 96],
    ['at=2026', 96],
    ['name=', 93],
    [`name=${'x'.repeat(513)}`, 93],
    ['tag=a', 93],
    ['dry=1', 93],
  ])('refuses ?%s (%d)', (query) => {
    expect(() => read(query)).toThrow(BadQueryError);
  });

  it('tells every fault with its parameter', () => {
    try {
      read('color=green&limit=0&x=1');
    } catch (error) {
      const { faults } = (error as BadQueryError).details as { faults: { path: string }[] };
      expect(faults.map(({ path }) => path)).toEqual(['color', 'limit', 'x']);
      return;
    }
    throw new TypeError('accepted');
  });
});
