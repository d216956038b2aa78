import { type EngineName } from '../../src/runtime/engines/engine';
import { Executor } from '../../src/runtime/executor';
import { Sandbox } from '../../src/runtime/sandbox';
import { MemorySource } from '../support/loadable';

describe('Sandbox', () => {
  const started: EngineName[] = [];
  const executors: Executor[] = [];
  const sandbox = new Sandbox(async (engine) => {
    started.push(engine);
    const files = new MemorySource(new Map());
    const executor = await Executor.start({ engine, files, log: () => undefined });
    executors.push(executor);
    return executor;
  });

  afterAll(async () => {
    for (const executor of executors) await executor.stop();
  });

  it('ends what it does when it is stopped, and starts no process for what waited (134)', async () => {
    let begin!: () => void;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const underWay = sandbox.run('cpu', async (executor) => {
      begin();
      throw new TypeError(await executor.ended);
    });
    const waiting = sandbox.run('cpu', async () => await Promise.resolve('done'), 'wasm');
    const outcomes = Promise.allSettled([underWay, waiting]);
    await begun;

    await sandbox.stop();

    expect(await outcomes).toMatchObject([
      { status: 'rejected' },
      { status: 'rejected', reason: { code: 'executor_lost' } },
    ]);
    expect(started).toEqual(['cpu']);
    expect(executors.map(({ isAlive }) => isAlive)).toEqual([false]);
  });
});
