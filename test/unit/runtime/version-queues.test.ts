import { type Job, VersionQueues } from '../../../src/runtime/version-queues';
import { aLoadable } from '../../support/loadable';
import { floatTensor } from '../../support/golden';

function aJob(version: number, enqueuedAtMs: number, rejected: unknown[] = []): Job {
  return {
    version: aLoadable({ version }),
    engine: 'wasm',
    inputs: { x: floatTensor([1], [0]) },
    enqueuedAtMs,
    deadlineAtMs: enqueuedAtMs + 1000,
    resolve: () => undefined,
    reject: (error) => rejected.push(error),
    settled: () => undefined,
  };
}

describe('VersionQueues', () => {
  it('gives out the job that has waited longest among the versions served', () => {
    const queues = new VersionQueues();
    const [late, early, other] = [aJob(1, 30), aJob(2, 20), aJob(3, 10)];
    for (const job of [late, early, other]) queues.add(job);

    expect(queues.takeOldest((key) => key !== 'tested/3')).toBe(early);
    expect(queues.takeOldest((key) => key !== 'tested/3')).toBe(late);
    expect(queues.takeOldest((key) => key !== 'tested/3')).toBeUndefined();
    expect(queues.size).toBe(1);
  });

  it('fails a dropped job once, and not at all when it was taken (109)', () => {
    const queues = new VersionQueues();
    const rejected: unknown[] = [];
    const [dropped, taken] = [aJob(1, 1, rejected), aJob(2, 2, rejected)];
    queues.add(dropped);
    queues.add(taken);

    queues.drop(dropped, 'gone');
    queues.drop(dropped, 'gone again');
    queues.takeOldest(() => true);
    queues.drop(taken, 'too late');

    expect(rejected).toEqual(['gone']);
    expect(queues.size).toBe(0);
  });

  it('refuses more than it may hold (108)', () => {
    const queues = new VersionQueues();
    let accepted = 0;
    while (accepted < 10_000 && queues.add(aJob(1, accepted))) accepted++;

    expect(accepted).toBe(1024);
    queues.takeOldest(() => true);
    expect(queues.add(aJob(1, 0))).toBe(true);
  });

  it('refuses more bytes than it may hold, however few the jobs (108)', () => {
    const queues = new VersionQueues();
    const large = { dtype: 'float32' as const, shape: [1], data: new Uint8Array(300 * 1024 ** 2) };
    const job = { ...aJob(1, 0), inputs: { x: large } };

    expect(queues.add(job)).toBe(true);
    expect(queues.add({ ...job })).toBe(false);
  });
});
