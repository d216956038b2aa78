import fc from 'fast-check';

import { BadCursorError, decodeCursor, encodeCursor, toPage } from '../../../src/common/page';

describe('cursor', () => {
  it('reads back what it wrote, in the same scope', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.integer())), fc.string(), (keys, scope) => {
        expect(decodeCursor(encodeCursor(keys, scope), scope)).toEqual(keys);
      }),
    );
  });

  it('is refused for another list or other filters (94)', () => {
    expect(() => decodeCursor(encodeCursor([5], 'a'), 'b')).toThrow(BadCursorError);
  });

  it('is refused after any edit (94)', () => {
    const cursor = encodeCursor(['64b000000000000000000000'], 'list');
    for (let at = 0; at < cursor.length; at++) {
      const edited = cursor.slice(0, at) + (cursor[at] === 'A' ? 'B' : 'A') + cursor.slice(at + 1);
      expect(() => decodeCursor(edited, 'list')).toThrow(BadCursorError);
    }
    for (const text of ['', '.', 'a.b.c', cursor.slice(1), `${cursor}.x`, `${cursor}=`]) {
      expect(() => decodeCursor(text, 'list')).toThrow(BadCursorError);
    }
  });
});

describe('toPage', () => {
  const page = (count: number) =>
    toPage(
      Array.from({ length: count }, (_, n) => n),
      3,
      'list',
      (n) => [n],
      String,
    );

  it('continues from the last item shown, when there is one more', () => {
    const { items, next } = page(4);

    expect(items).toEqual(['0', '1', '2']);
    expect(decodeCursor(next ?? '', 'list')).toEqual([2]);
  });

  it.each([0, 1, 3])('ends with %d items', (count) => {
    expect(page(count)).toMatchObject({ items: { length: count }, next: null });
  });
});
