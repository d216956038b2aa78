import { join } from 'node:path';

import { ownBytes, ThreadPool } from '../../../src/common/thread-pool';

class LostError extends Error {}

let pool: ThreadPool<unknown, [threadId: number, job: unknown]>;

function start(threads: number, jobsPerThread: number): void {
  pool = new ThreadPool({
    entry: join(__dirname, '../../support/pool-thread.cjs'),
    threads,
    jobsPerThread,
    lost: (message, cause) => new LostError(message, { cause }),
  });
}

afterEach(async () => {
  await pool.close();
});

describe('ThreadPool', () => {
  it('answers every job, in the order of a single thread', async () => {
    start(1, 1);
    const order: number[] = [];

    await Promise.all(
      [1, 2, 3, 4].map(async (job) => {
        const [, answered] = await pool.run(job);
        order.push(answered as number);
      }),
    );

    expect(order).toEqual([1, 2, 3, 4]);
  });

  it('starts no more threads than it may, and another only while all are busy', async () => {
    start(2, Infinity);

    const [alone] = await pool.run('a');
    const together = await Promise.all(['b', 'c', 'd', 'e'].map((job) => pool.run(job)));

    expect(new Set([alone, ...together.map(([thread]) => thread)]).size).toBe(2);
  });

  it.each(['exit', 'throw'])(
    'fails only the job at which a thread dies (%s) (133)',
    async (end) => {
      start(1, 1);
      const before = pool.run('before');
      const dying = pool.run(end);
      const after = pool.run('after');

      await expect(dying).rejects.toThrow(LostError);
      const [[first], [second]] = await Promise.all([before, after]);

      expect(first).not.toBe(second);
    },
  );

  it('fails all that a thread had before it when it dies (133)', async () => {
    start(1, Infinity);

    const outcomes = await Promise.allSettled(['exit', 'lost', 'lost'].map((job) => pool.run(job)));

    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    await expect(pool.run('next')).resolves.toMatchObject({ 1: 'next' });
  });

  it('refuses what cannot be handed over, and goes on', async () => {
    start(1, 1);

    await expect(pool.run(() => 'a function')).rejects.toThrow('could not be cloned');

    await expect(pool.run('next')).resolves.toMatchObject({ 1: 'next' });
  });

  it('fails what is under way, what waits and what comes when it is closed', async () => {
    start(1, 1);
    const jobs = ['never', 'waiting'].map((job) => pool.run(job));

    const outcomes = Promise.allSettled(jobs);
    await pool.close();

    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(pool.run('late')).rejects.toThrow(LostError);
  });
});

describe('ownBytes', () => {
  it('copies only bytes that share their memory', () => {
    start(1, 1);
    const whole = new Uint8Array([1, 2, 3, 4]);

    expect(ownBytes(whole).buffer).toBe(whole.buffer);
    expect([...ownBytes(whole.subarray(1, 3))]).toEqual([2, 3]);
    expect(ownBytes(whole.subarray(1, 3)).buffer.byteLength).toBe(2);
    expect(ownBytes(Buffer.from('pooled')).buffer.byteLength).toBe(6);
  });
});
