import { DEFAULT_LIMITS } from '../../../src/runtime/batch.policy';
import { type Job, VersionQueues } from '../../../src/runtime/version-queues';
import { aLoadable } from '../../support/loadable';
import { floatTensor } from '../../support/golden';

function aJob(version: number, enqueuedAtMs: number, job: Partial<Job> = {}): Job {
  return {
    version: aLoadable({ version }),
    engine: 'wasm',
    inputs: { x: floatTensor([1], [0]) },
    stackable: null,
    limits: DEFAULT_LIMITS,
    enqueuedAtMs,
    deadlineAtMs: enqueuedAtMs + 1000,
    resolve: () => undefined,
    reject: () => undefined,
    ...job,
  };
}

/** Takes the next call of the lane that has waited longest, if any. */
function takeNext(queues: VersionQueues, maxRows = 100): readonly Job[] {
  const [lane] = queues.waitingLanes();
  return lane ? queues.takeBatch(lane, maxRows) : [];
}

describe('VersionQueues', () => {
  it('gives out the job that has waited longest', () => {
    const queues = new VersionQueues();
    const [late, early] = [aJob(1, 30), aJob(2, 20)];
    for (const job of [late, early]) queues.add(job);

    expect(takeNext(queues)).toEqual([early]);
    expect(takeNext(queues)).toEqual([late]);
    expect(queues.size).toBe(0);
  });

  it('gives out together what may share a call, in its order and up to the cap', () => {
    const queues = new VersionQueues();
    const [square, wide] = [{ rows: 2, key: 'x 2' } as const, { rows: 2, key: 'x 3' } as const];
    const jobs = [square, wide, square, null, square, square].map((stackable, index) =>
      aJob(1, index, { stackable }),
    );
    for (const job of jobs) queues.add(job);

    expect(takeNext(queues, 7)).toEqual([jobs[0], jobs[2], jobs[4]]);
    expect(takeNext(queues, 7)).toEqual([jobs[1]]);
    expect(takeNext(queues, 7)).toEqual([jobs[3]]);
    expect(takeNext(queues, 1)).toEqual([jobs[5]]);
  });

  it('keeps versions and engines apart, and puts a job back before the others', () => {
    const queues = new VersionQueues();
    const stackable = { rows: 1, key: 'x' };
    const jobs = [aJob(1, 1, { stackable }), aJob(1, 2, { stackable, engine: 'cpu' })];
    for (const job of jobs) queues.add(job);

    expect(takeNext(queues)).toEqual([jobs[0]]);
    expect(takeNext(queues)).toEqual([jobs[1]]);
    queues.add(aJob(1, 3));
    queues.putBack(jobs[0]!);
    expect(takeNext(queues)).toEqual([jobs[0]]);
  });

  it('fails a dropped job once, and not at all when it was taken (109)', () => {
    const queues = new VersionQueues();
    const rejected: unknown[] = [];
    const reject = (error: unknown): number => rejected.push(error);
    const [dropped, taken] = [aJob(1, 1, { reject }), aJob(2, 2, { reject })];
    queues.add(dropped);
    queues.add(taken);

    queues.drop(dropped, 'gone');
    queues.drop(dropped, 'gone again');
    takeNext(queues);
    queues.drop(taken, 'too late');

    expect(rejected).toEqual(['gone']);
    expect(queues.size).toBe(0);
  });

  it('refuses more of a model than the model wants waiting (108)', () => {
    const queues = new VersionQueues();
    const limits = { ...DEFAULT_LIMITS, maxQueue: 2 };

    expect(queues.add(aJob(1, 1, { limits }))).toBe(true);
    expect(queues.add(aJob(2, 2, { limits }))).toBe(true);
    expect(queues.add(aJob(1, 3, { limits }))).toBe(false);
    takeNext(queues);
    expect(queues.add(aJob(1, 4, { limits }))).toBe(true);
  });

  it('refuses more bytes than it may hold, however few the jobs (108)', () => {
    const queues = new VersionQueues();
    const large = { dtype: 'float32' as const, shape: [1], data: new Uint8Array(300 * 1024 ** 2) };

    expect(queues.add(aJob(1, 0, { inputs: { x: large } }))).toBe(true);
    expect(queues.add(aJob(1, 0, { inputs: { x: large } }))).toBe(false);
  });

  it('refuses more jobs than it may hold, however small and whatever a model wishes (108)', () => {
    const queues = new VersionQueues();
    const limits = { ...DEFAULT_LIMITS, maxQueue: 10_000 };
    for (let count = 0; count < 4096; count++) {
      expect(queues.add(aJob(1, count, { limits }))).toBe(true);
    }

    expect(queues.add(aJob(1, 5000, { limits }))).toBe(false);
  });
});
