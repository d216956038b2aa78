import { KILL_WINDOW_MS, KillLog } from '../../../src/runtime/kill.policy';

describe('KillLog', () => {
  it.each<[string, readonly number[], readonly boolean[]]>([
    ['the third within ten minutes', [0, 1, KILL_WINDOW_MS - 1], [false, false, true]],
    ['no third after that', [0, 1, KILL_WINDOW_MS], [false, false, false]],
    ['again only after three more', [0, 0, 0, 1, 1, 1], [false, false, true, false, false, true]],
  ])('finds one too many: %s', (_, times, expected) => {
    const log = new KillLog();

    expect(times.map((atMs) => log.add('a/1', atMs))).toEqual(expected);
  });

  it('counts each version by itself', () => {
    const log = new KillLog();

    expect(['a/1', 'a/2', 'a/1', 'a/2', 'a/1'].map((key) => log.add(key, 0))).toEqual([
      false,
      false,
      false,
      false,
      true,
    ]);
  });
});
