import { type NamedTensors, type Tensor } from '../../src/common/tensor';
import { type BatchingSettings } from '../../src/models/model.doc';
import { type LoadableVersion } from '../../src/models/version';
import { type EngineName } from '../../src/runtime/engines/engine';
import { Executor } from '../../src/runtime/executor';
import { ExecutorPool, type Prediction } from '../../src/runtime/executor-pool';
import { Sandbox } from '../../src/runtime/sandbox';
import { TestLoad } from '../../src/runtime/test-load';
import {
  floats,
  floatTensor,
  goldenInputs,
  isClose,
  listGoldenModels,
  readGolden,
} from '../support/golden';
import { aVersion, inspected, MemorySource, readArtifact } from '../support/loadable';
import { centred, greaterThanHalf, tableOfThree } from '../support/tiny-graphs';

const ENGINE = (process.env['GRIDSTOW_ENGINE'] ?? 'wasm').replace('auto', 'wasm') as EngineName;
const DEADLINE_MS = 120_000;

/** Without the one that takes three times as long as the next, of convolutions, pooling and joins as others are. */
const MODELS = listGoldenModels().filter((folder) => folder !== 'nsfw-inception-v3');

describe('ExecutorPool with requests that can share a call', () => {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  /** A version as publishing leaves it, and a pool of one executor that can load it. */
  async function published(
    artifact: Map<string, Uint8Array>,
    executors = 1,
  ): Promise<{ readonly version: LoadableVersion; readonly pool: ExecutorPool }> {
    const startExecutor = async (engine: EngineName): Promise<Executor> =>
      await Executor.start({ engine, files: new MemorySource(artifact), log: () => undefined });
    const sandbox = new Sandbox(startExecutor);
    const stored = aVersion(artifact, inspected(artifact));
    const facts = await new TestLoad(sandbox, DEADLINE_MS, DEADLINE_MS)
      .run(stored, [ENGINE])
      .finally(async () => {
        await sandbox.stop();
      });
    const pool = new ExecutorPool({
      engine: ENGINE,
      executors,
      budgetBytes: 1e9,
      loadDeadlineMs: DEADLINE_MS,
      startExecutor,
      log: () => undefined,
      holdWhile: async (_version, read) => await read(),
    });
    await pool.start();
    closers.push(async () => {
      await pool.stop();
    });
    const version = { ...stored, ...facts };
    await pool.load(version, ENGINE);
    return { version, pool };
  }

  async function predict(
    { version, pool }: { version: LoadableVersion; pool: ExecutorPool },
    inputs: NamedTensors,
    batching: BatchingSettings = {},
    signal?: AbortSignal,
  ): Promise<Prediction> {
    return await pool.predict(version, ENGINE, inputs, {
      deadlineMs: DEADLINE_MS,
      batching,
      ...(signal ? { signal } : {}),
    });
  }

  it.each(MODELS)(
    'answers requests for %s together as it does each alone, to 1e-5',
    async (folder) => {
      const artifact = readArtifact(folder);
      const served = await published(artifact).catch((error: unknown) => {
        // What the engine cannot run is the subject of other tests.
        expect(error).toMatchObject({ code: 'model_unloadable' });
        return null;
      });
      if (!served) return;
      const golden = readGolden(folder);
      const requests = [1, 0.5, 0.25].map((factor) => scaled(goldenInputs(golden), factor));
      const alone: Prediction[] = [];
      for (const inputs of requests) alone.push(await predict(served, inputs));

      const together = await Promise.all(
        requests.map(async (inputs) => await predict(served, inputs, { maxDelayMs: 5 })),
      );

      together.forEach(({ outputs }, index) => {
        expect(farApart(alone[index]!.outputs, outputs)).toEqual([]);
      });
      const { rowsApart } = served.version.engines[ENGINE]!;
      if (rowsApart && !isSlow(served.version)) {
        expect(together[0]!.batchRows).toBeGreaterThan(alone[0]!.batchRows!);
      }
    },
    300_000,
  );

  it('shares calls only between requests of one shape, whatever comes in between', async () => {
    const served = await published(greaterThanHalf());
    const shapes = [1, 3, 1, 2, 5, 1];

    const answers = await Promise.all(
      shapes.map(
        async (rows, index) =>
          await predict(served, { x: floatTensor([rows, 3], noise(rows * 3, index)) }),
      ),
    );

    answers.forEach(({ outputs, batchRows }, index) => {
      const rows = shapes[index]!;
      expect(outputs['large']!.shape).toEqual([rows, 3]);
      expect([...outputs['large']!.data]).toEqual(
        noise(rows * 3, index).map((value) => Number(value > 0.5)),
      );
      expect(batchRows).toBe(13);
    });
  });

  it('computes each request by itself where rows depend on each other', async () => {
    const served = await published(centred());

    const answers = await Promise.all(
      [1, 2].map(async (value) => await predict(served, { x: floatTensor([1, 3], [value, 0, 0]) })),
    );

    expect(served.version.engines[ENGINE]?.rowsApart).toBe(false);
    for (const { outputs, batchRows } of answers) {
      expect([...floats(outputs['y']!)]).toEqual([0, 0, 0]);
      expect(batchRows).toBeUndefined();
    }
  });

  it('lets a row that cannot be computed fail alone', async () => {
    const served = await published(tableOfThree());
    const indices = [0, 1, 7, 2];

    const outcomes = await Promise.allSettled(
      indices.map(async (index) => await predict(served, { x: floatTensor([1, 1], [index]) })),
    );

    expect(
      outcomes.map((outcome) =>
        outcome.status === 'fulfilled' ? floats(outcome.value.outputs['y']!)[0] : 'failed',
      ),
    ).toEqual([10, 20, ENGINE === 'node' ? expect.anything() : 'failed', 30]);
  });

  it('answers everyone whose shared call was lost with its executor (133)', async () => {
    const { version, pool } = await published(readArtifact('nsfw-mobilenet-v2'));
    // As if its calls were short: otherwise they are not shared, slow as this one is.
    const served = { version: { ...version, engines: shortCalls(version) }, pool };
    const inputs = goldenInputs(readGolden('nsfw-mobilenet-v2'));
    const waiting = Promise.all([1, 2].map(async () => await predict(served, inputs)));
    const executor = (): { busy: boolean; pid: number | null } => served.pool.state().executors[0]!;
    while (!executor().busy) await new Promise((resolve) => setImmediate(resolve));

    process.kill(executor().pid!, 'SIGKILL');

    for (const { outputs } of await waiting) expect(Object.keys(outputs).length).toBe(1);
    expect(served.pool.state().executors[0]!.restarts).toBe(1);
  }, 60_000);

  it('waits for company as long, and for as much, as the model wishes', async () => {
    const served = await published(greaterThanHalf());
    const row = { x: floatTensor([1, 3], [1, 0, 1]) };
    const patient = { maxDelayMs: 30_000, maxRows: 3 };
    const answers: number[] = [];
    const ask = async (): Promise<void> => {
      answers.push((await predict(served, row, patient)).batchRows!);
    };

    const first = [ask(), ask()];
    await predict(served, { x: floatTensor([1, 3], [0, 0, 0]) }, patient).then(({ batchRows }) =>
      answers.push(batchRows!),
    );
    await Promise.all(first);

    expect(answers).toEqual([3, 3, 3]);
    expect((await predict(served, row, { maxDelayMs: 1 })).batchRows).toBe(1);
  });

  it('refuses more waiting requests than the model wishes, and forgets those that leave (108, 109)', async () => {
    const served = await published(greaterThanHalf());
    const row = { x: floatTensor([1, 3], [1, 0, 1]) };
    const settings = { maxDelayMs: 30_000, maxQueue: 2 };
    const callers = [new AbortController(), new AbortController()];
    const waiting = callers.map(
      async ({ signal }) => await predict(served, row, settings, signal).catch(String),
    );
    await new Promise((resolve) => setImmediate(resolve));

    await expect(predict(served, row, settings)).rejects.toMatchObject({
      kind: 'overloaded',
      details: { retryAfterSeconds: 1 },
    });

    for (const caller of callers) caller.abort();
    expect(await Promise.all(waiting)).toEqual([
      expect.stringContaining('cancelled'),
      expect.stringContaining('cancelled'),
    ]);
    expect(served.pool.state().waiting).toBe(0);
  });
});

function shortCalls({ engines }: LoadableVersion): LoadableVersion['engines'] {
  return { ...engines, [ENGINE]: { ...engines[ENGINE]!, msPerBatch: {} } };
}

/** Whether a call of two rows is more than the policy lets share. */
function isSlow({ engines }: LoadableVersion): boolean {
  return (engines[ENGINE]?.msPerBatch?.['1'] ?? 0) > 25;
}

function scaled(inputs: NamedTensors, factor: number): NamedTensors {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]): [string, Tensor] => {
      if (tensor.dtype !== 'float32') return [name, tensor];
      const values = floats(tensor).map((value) => value * factor);
      return [name, { ...tensor, data: new Uint8Array(values.buffer) }];
    }),
  );
}

function noise(count: number, seed: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.abs(Math.sin(index * 7 + seed * 13)));
}

function farApart(alone: NamedTensors, together: NamedTensors): string[] {
  expect(Object.keys(together).sort()).toEqual(Object.keys(alone).sort());
  return Object.entries(alone).flatMap(([name, expected]) => {
    const actual = together[name]!;
    expect(actual.shape).toEqual(expected.shape);
    const values = [...floats(actual)];
    return [...floats(expected)].flatMap((value, index) =>
      isClose(values[index]!, value) ? [] : [`${name}[${index}] ${values[index]!}, not ${value}`],
    );
  });
}
