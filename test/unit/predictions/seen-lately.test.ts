import { SeenLately } from '../../../src/predictions/seen-lately';

const START_MS = 1_000;

function seenLately(): { readonly seen: SeenLately; readonly goTo: (ms: number) => void } {
  const now = jest.spyOn(performance, 'now').mockReturnValue(START_MS);
  const goTo = (ms: number): void => {
    now.mockReturnValue(START_MS + ms);
  };
  return { seen: new SeenLately({ maxItems: 4, maxAgeMs: 60 }), goTo };
}

describe('SeenLately', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('knows what it was given for half of the age at least, and never for longer', () => {
    for (const askedAt of [[30], [59], [29, 45], [30, 59]]) {
      const { seen, goTo } = seenLately();
      goTo(0);
      seen.add('first');
      goTo(29);
      seen.add('late');
      for (const ms of askedAt) {
        goTo(ms);
        expect(seen.has('late')).toBe(true);
      }
      goTo(60);
      expect(seen.has('first')).toBe(false);
      goTo(89);
      expect(seen.has('late')).toBe(false);
    }
  });

  it('forgets everything after a pause', () => {
    const { seen, goTo } = seenLately();
    seen.add('a');

    goTo(1_000);

    expect(seen.has('a')).toBe(false);
    seen.add('b');
    expect(seen.has('b')).toBe(true);
  });

  it('keeps no more than it may, the latest', () => {
    const { seen } = seenLately();
    const items = ['a', 'b', 'c', 'd', 'e'];

    for (const item of items) seen.add(item);

    expect(items.filter((item) => seen.has(item))).toEqual(['c', 'd', 'e']);
  });

  it('forgets one of them when it is told to', () => {
    const { seen } = seenLately();
    for (const item of ['a', 'b', 'c']) seen.add(item);

    seen.delete('a');
    seen.delete('c');

    expect(['a', 'b', 'c'].filter((item) => seen.has(item))).toEqual(['b']);
  });
});
