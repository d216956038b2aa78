import { LoadBackoff } from '../../../src/runtime/load-backoff';

describe('LoadBackoff', () => {
  it('pauses not at all, then for a second, then for twice as long each time, up to five minutes', () => {
    let now = 0;
    const backoff = new LoadBackoff(
      () => now,
      () => 0,
    );
    const pauses = Array.from({ length: 12 }, () => {
      backoff.failure('a/1', 'gone');
      const pauseMs = backoff.blocking('a/1')?.leftMs ?? 0;
      now += pauseMs;
      return pauseMs / 1000;
    });

    expect(pauses).toEqual([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  });

  it('forgets a version that has loaded, and knows nothing of others', () => {
    const backoff = new LoadBackoff(
      () => 0,
      () => 0,
    );
    for (let failure = 0; failure < 5; failure++) backoff.failure('a/1', 'gone');

    expect(backoff.blocking('b/1')).toBeNull();
    expect(backoff.blocking('a/1')).toMatchObject({ failures: 5, error: 'gone' });
    backoff.success('a/1');
    expect(backoff.blocking('a/1')).toBeNull();
    expect(backoff.list()).toEqual([]);
  });

  it('takes up to a quarter off by chance', () => {
    const backoff = new LoadBackoff(
      () => 0,
      () => 1,
    );
    backoff.failure('a/1', 'gone');
    backoff.failure('a/1', 'gone');

    expect(backoff.blocking('a/1')?.leftMs).toBe(750);
  });
});
