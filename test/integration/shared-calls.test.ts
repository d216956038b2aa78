import { getEventListeners } from 'node:events';

import { type NamedTensors } from '../../src/common/tensor';
import { type LoadableVersion } from '../../src/models/version';
import { type EngineName } from '../../src/runtime/engines/engine';
import { Executor } from '../../src/runtime/executor';
import { ExecutorPool, type Prediction } from '../../src/runtime/executor-pool';
import { floats, floatTensor } from '../support/golden';
import { aVersion, MemorySource } from '../support/loadable';
import { endlessLoop, meanOfRows } from '../support/tiny-graphs';

const ENGINE = (process.env['GRIDSTOW_ENGINE'] ?? 'wasm').replace('auto', 'wasm') as EngineName;
const LONG_MS = 120_000;

const one: NamedTensors = { x: floatTensor([1], [1]) };
const row: NamedTensors = { x: floatTensor([1, 3], [0.9, 0.1, 0.6]) };

describe('ExecutorPool with calls that several requests share', () => {
  let pool: ExecutorPool;
  /** Rows of the calls that were answered. */
  let calls: number[];

  afterEach(async () => {
    await pool.stop(0);
  });

  /** A pool of one executor with a version whose report says that its rows are apart. */
  async function start(
    artifact: Map<string, Uint8Array>,
    input: readonly number[],
    output: readonly number[],
  ): Promise<LoadableVersion> {
    const ignore = (): void => undefined;
    calls = [];
    pool = new ExecutorPool({
      engine: ENGINE,
      executors: 1,
      budgetBytes: 1e9,
      loadDeadlineMs: LONG_MS,
      startExecutor: async (engine) =>
        await Executor.start({ engine, files: new MemorySource(artifact), log: ignore }),
      log: ignore,
      holdWhile: async (_version, read) => await read(),
      observer: {
        called: (_version, _engine, rows) => calls.push(rows),
        loaded: ignore,
        loadFailed: ignore,
        killed: ignore,
      },
    });
    await pool.start();
    const version = aVersion(artifact, {
      signature: {
        inputs: [{ name: 'x', dtype: 'float32', shape: input }],
        outputs: [{ name: 'y', dtype: 'float32', shape: output }],
      },
      engines: { [ENGINE]: { ok: true, rowsApart: true } },
    });
    await pool.load(version, ENGINE);
    return version;
  }

  async function predict(
    version: LoadableVersion,
    inputs: NamedTensors,
    options: { deadlineMs?: number; signal?: AbortSignal } = {},
  ): Promise<Prediction> {
    return await pool.predict(version, ENGINE, inputs, { deadlineMs: LONG_MS, ...options });
  }

  const executor = () => pool.state().executors[0]!;
  const turn = async () => await new Promise((resolve) => setImmediate(resolve));
  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  it('ends a call at the first deadline in it, and goes on for the others (55)', async () => {
    const endless = await start(endlessLoop(-1), [-1], [-1]);
    let isSettled = false;
    const patient = predict(endless, one).catch(() => (isSettled = true));

    await expect(predict(endless, one, { deadlineMs: 500 })).rejects.toMatchObject({
      kind: 'deadline',
    });

    await turn();
    expect(isSettled).toBe(false);
    await pool.stop(0);
    await patient;
  });

  it('loses no further executor to requests that are late by then (55)', async () => {
    const endless = await start(endlessLoop(-1), [-1], [-1]);
    const { pid } = executor();
    const late = [1, 2].map(
      async () => await predict(endless, one, { deadlineMs: 500 }).catch((error: unknown) => error),
    );

    for (const failure of await Promise.all(late)) {
      expect(failure).toMatchObject({ kind: 'deadline' });
    }

    await until(() => executor().pid !== pid && executor().pid !== null);
    expect(executor()).toMatchObject({ restarts: 1, busy: false });
  });

  it('computes nothing more for a caller who left while the call was lost (109)', async () => {
    const endless = await start(endlessLoop(-1), [-1], [-1]);
    const caller = new AbortController();
    const left = predict(endless, one, { signal: caller.signal });
    const late = predict(endless, one, { deadlineMs: 1000 });
    await until(() => executor().busy);

    caller.abort();

    await expect(left).rejects.toMatchObject({ code: 'prediction_cancelled' });
    await expect(late).rejects.toMatchObject({ kind: 'deadline' });
  });

  it('shares no more calls of a version once its outputs were not one row for each', async () => {
    const mean = await start(meanOfRows(), [-1, 3], [-1]);

    for (const expected of [
      [2, 1, 1],
      [2, 1, 1, 1, 1],
    ]) {
      const answers = await Promise.all([predict(mean, row), predict(mean, row)]);

      for (const { outputs } of answers) {
        expect([...floats(outputs['y']!)]).toEqual([...floats(row['x']!)]);
      }
      expect(calls).toEqual(expected);
    }
  });

  it('leaves nothing on the signal of a request that was answered', async () => {
    const mean = await start(meanOfRows(), [-1, 3], [-1]);
    const { signal } = new AbortController();

    await predict(mean, row, { signal });

    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
