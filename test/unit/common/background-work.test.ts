import { once } from 'node:events';

import { BackgroundWork } from '../../../src/common/background-work';

const OFTEN = { firstAfterMs: 1, pauseMs: 1 };
let background: BackgroundWork;
let failures: unknown[];

beforeEach(() => {
  background = new BackgroundWork();
  failures = [];
});
afterEach(async () => {
  await background.stop();
});

/** Repeats a run, and resolves when the given one of its turns begins. */
async function untilTurn(turn: number, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  let turns = 0;
  await new Promise<void>((resolve) => {
    background.repeat({
      ...OFTEN,
      run: async (signal) => {
        if (++turns === turn) resolve();
        await run(signal);
      },
      onFailure: (error) => failures.push(error),
    });
  });
}

describe('BackgroundWork', () => {
  it('tells of a run that fails, and tries again', async () => {
    const fault = new TypeError('no database');

    await untilTurn(3, async () => {
      await Promise.reject(fault);
    });

    expect(failures.slice(0, 2)).toEqual([fault, fault]);
  });

  it('begins no run while the one before is under way', async () => {
    let [underWay, most] = [0, 0];

    await untilTurn(3, async () => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 20));
      underWay--;
    });

    expect(most).toBe(1);
  });

  it('tells a run under way to end, and is stopped when it has ended', async () => {
    const log: string[] = [];
    await untilTurn(1, async (signal) => {
      await once(signal, 'abort');
      await new Promise((resolve) => setTimeout(resolve, 20));
      log.push('ended');
    });

    await background.stop();

    expect(log).toEqual(['ended']);
  });

  it('says nothing of a run that fails because of a stop', async () => {
    await untilTurn(1, async (signal) => {
      await once(signal, 'abort');
      throw new TypeError('the connection is closed');
    });

    await background.stop();

    expect(failures).toEqual([]);
  });

  it('does not begin what has not begun when it stops', async () => {
    let runs = 0;
    background.repeat({
      firstAfterMs: 60_000,
      pauseMs: 1,
      run: async () => {
        await Promise.resolve(runs++);
      },
      onFailure: (error) => failures.push(error),
    });

    await background.stop();

    expect([runs, failures]).toEqual([0, []]);
  });
});
