import { type ArtifactFile } from '../../src/artifacts/artifact';
import { type NamedTensors } from '../../src/common/tensor';
import { type LoadableVersion } from '../../src/models/version';
import { type EngineName } from '../../src/runtime/engines/engine';
import { DatabaseUnavailableError } from '../../src/mongo/mongo.errors';
import { EngineUnavailableError, ModelUnloadableError } from '../../src/runtime/runtime.errors';
import { Executor } from '../../src/runtime/executor';
import { ExecutorPool, type PoolOptions } from '../../src/runtime/executor-pool';
import { floatTensor, goldenInputs, readGolden } from '../support/golden';
import { aVersion, MemorySource, readArtifact } from '../support/loadable';
import { endlessLoop, greaterThanHalf, unknownOp } from '../support/tiny-graphs';

const ENGINE = (process.env['GRIDSTOW_ENGINE'] ?? 'wasm').replace('auto', 'wasm') as EngineName;
const OTHER: EngineName = ENGINE === 'cpu' ? 'wasm' : 'cpu';
const DEADLINE_MS = 120_000;

const quick = greaterThanHalf();
const quickInput = { x: floatTensor([1, 3], [0.9, 0.1, 0.6]) };
const slow = readArtifact('nsfw-mobilenet-v2');
const slowInput = goldenInputs(readGolden('nsfw-mobilenet-v2'));
const endless = endlessLoop();
const endlessInput = { x: floatTensor([1], [1]) };

/** Files of several models by the model's name, and how often each was read for a load. */
class CountingSource extends MemorySource {
  readonly loads: string[] = [];
  /** What the next loads of model `a` fail with. */
  failures: Error[] = [];

  constructor(private readonly artifacts: ReadonlyMap<string, Map<string, Uint8Array>>) {
    super(new Map());
  }

  override async read(file: ArtifactFile): Promise<ArrayBuffer> {
    const [model = '', path = ''] = file.contentType.split('|');
    if (path === 'model.json') {
      this.loads.push(model);
      const failure = model === 'a' ? this.failures.shift() : undefined;
      if (failure) throw failure;
    }
    const bytes = this.artifacts.get(model)?.get(path);
    if (!bytes) throw new RangeError(`No file ${path} of ${model}`);
    return await Promise.resolve(Uint8Array.from(bytes).buffer);
  }
}

/** A version of a model whose weights count as `loadedBytes`, whatever they are. */
function version(
  model: string,
  artifact: Map<string, Uint8Array>,
  loadedBytes = 40,
): LoadableVersion {
  const made = aVersion(artifact, { model, loadedBytes });
  // The content type tells the counting source whose file it is.
  const files = made.files.map((file) => ({ ...file, contentType: `${model}|${file.path}` }));
  return { ...made, files };
}

const away = (): Error => new DatabaseUnavailableError('The database is away');
const A = version('a', quick);
const B = version('b', quick);
const C = version('c', quick);
const SLOW = version('slow', slow);
const ENDLESS = version('endless', endless);

describe('ExecutorPool', () => {
  let source: CountingSource;
  let pool: ExecutorPool;

  async function startPool(options: Partial<PoolOptions> = {}): Promise<void> {
    source = new CountingSource(
      new Map([
        ['a', quick],
        ['b', quick],
        ['c', quick],
        ['slow', slow],
        ['endless', endless],
        ['other', endless],
        ['broken', unknownOp()],
      ]),
    );
    pool = new ExecutorPool({
      engine: ENGINE,
      executors: 2,
      budgetBytes: 1e9,
      loadDeadlineMs: DEADLINE_MS,
      startExecutor: async (engine) =>
        await Executor.start({ engine, files: source, log: () => undefined }),
      log: () => undefined,
      holdWhile: async (_version, read) => await read(),
      ...options,
    });
    await pool.start();
  }
  /** A pool of one executor, and the models that cost it its life. */
  async function startWatchedPool(): Promise<readonly string[]> {
    const killed: string[] = [];
    const ignore = (): void => undefined;
    await startPool({
      executors: 1,
      observer: {
        called: ignore,
        loaded: ignore,
        loadFailed: ignore,
        killed: ({ model }) => killed.push(model),
      },
    });
    return killed;
  }
  afterEach(async () => {
    await pool.stop();
  });

  async function predict(
    wanted: LoadableVersion,
    inputs: NamedTensors = quickInput,
    options: { deadlineMs?: number; signal?: AbortSignal } = {},
  ): Promise<number[]> {
    const { outputs } = await pool.predict(wanted, ENGINE, inputs, {
      deadlineMs: DEADLINE_MS,
      ...options,
    });
    return [...(Object.values(outputs)[0]?.data ?? [])];
  }

  /** The models in memory, one entry per copy. */
  function loaded(): string[] {
    return pool
      .state()
      .executors.flatMap(({ versions }) => versions.map(({ model }) => model))
      .sort();
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  it('loads a version at most once per executor for 100 first requests at once (127)', async () => {
    await startPool();

    const answers = await Promise.all(Array.from({ length: 100 }, async () => await predict(A)));

    expect(answers).toEqual(new Array(100).fill([1, 0, 1]));
    expect(source.loads.length).toBeLessThanOrEqual(2);
    expect(loaded()).toEqual(source.loads);
  });

  it('spreads a version onto a second executor only while requests wait for it', async () => {
    await startPool();

    await predict(SLOW, slowInput);
    await predict(SLOW, slowInput);
    expect(loaded()).toEqual(['slow']);

    await Promise.all([1, 2, 3, 4].map(async () => await predict(SLOW, slowInput)));
    await until(() => loaded().length === 2);
    expect(loaded()).toEqual(['slow', 'slow']);
  });

  it('unloads the least recently used version when the budget is full', async () => {
    await startPool({ executors: 1, budgetBytes: 100 });
    await predict(A);
    await predict(B);
    await predict(A);

    await predict(C);

    expect(loaded()).toEqual(['a', 'c']);
    expect(pool.state().usedBytes).toBe(80);
  });

  it('keeps pinned versions and refuses what does not fit beside them (131)', async () => {
    await startPool({ executors: 1, budgetBytes: 100 });
    pool.pin(new Set(['a/1', 'b/1']));
    await predict(A);
    await predict(B);

    await expect(predict(C)).rejects.toMatchObject({
      kind: 'overloaded',
      details: { retryAfterSeconds: 1 },
    });

    expect(loaded()).toEqual(['a', 'b']);
    pool.pin(new Set(['b/1']));
    await predict(C);
    expect(loaded()).toEqual(['b', 'c']);
  });

  it('refuses a version that is larger than the whole budget (131)', async () => {
    await startPool({ executors: 1, budgetBytes: 39 });

    await expect(predict(A)).rejects.toMatchObject({
      kind: 'overloaded',
      details: { loadedBytes: 40, budgetBytes: 39 },
    });
  });

  it('unloads nothing that a prediction is computing with (132)', async () => {
    await startPool({ budgetBytes: 10_600_000 });
    const computing = predict(SLOW, slowInput);
    await until(() => pool.state().executors.some(({ busy }) => busy));
    const large = version('b', quick, 500_000);

    await expect(predict(large)).rejects.toMatchObject({ kind: 'overloaded' });

    expect((await computing).length).toBe(20);
    expect(await predict(large)).toEqual([1, 0, 1]);
    expect(loaded()).toEqual(['b']);
  });

  it('unloads nothing that a request waits for, however long unused (132)', async () => {
    // More than any of them really takes, so that what each is said to take counts.
    const bytes = 40 * 1024 ** 2;
    const [a, b, c] = ['a', 'b', 'c'].map((model) => version(model, quick, bytes));
    const busy = version('slow', slow, bytes);
    await startPool({ executors: 1, budgetBytes: 3 * bytes });
    for (const wanted of [b!, c!]) await predict(wanted);
    await pool.load(busy, ENGINE);

    const computing = predict(busy, slowInput);
    const waiting = predict(b!);
    await until(() => pool.state().executors[0]!.busy);
    const { executors, queues } = pool.state();
    expect(queues).toEqual([{ version: 'b/1', engine: ENGINE, waiting: 1 }]);
    expect(executors[0]!.versions.map(({ model, leases }) => [model, leases])).toEqual([
      ['b', 0],
      ['c', 0],
      ['slow', 1],
    ]);
    await pool.load(a!, ENGINE);

    expect(await waiting).toEqual([1, 0, 1]);
    await computing;
    expect(loaded()).toEqual(['a', 'b', 'slow']);
    expect(source.loads).toEqual(['b', 'c', 'slow', 'a']);
  });

  it('answers 503 for what a killed executor computed, and heals within a second (133)', async () => {
    await startPool({ executors: 1 });
    await pool.load(ENDLESS, ENGINE);
    const underWay = predict(ENDLESS, endlessInput);
    const waiting = predict(A);
    await until(() => pool.state().executors[0]!.busy);
    const { pid } = pool.state().executors[0]!;

    process.kill(pid!, 'SIGKILL');

    await expect(underWay).rejects.toMatchObject({ code: 'executor_lost', kind: 'unavailable' });
    await waiting.catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'executor_lost' });
    });
    expect(await predict(A)).toEqual([1, 0, 1]);
    const healed = pool.state().executors[0]!;
    expect(healed.pid).not.toBe(pid);
    expect(healed.restarts).toBe(1);
  });

  it('does not try without a pause to replace an executor that will not start (133)', async () => {
    let starts = 0;
    await startPool({
      executors: 1,
      startExecutor: async (engine) => {
        if (++starts > 1) throw new EngineUnavailableError('Not now', { engine });
        return await Executor.start({ engine, files: source, log: () => undefined });
      },
    });

    process.kill(pool.state().executors[0]!.pid!, 'SIGKILL');
    await until(() => starts > 2);
    await new Promise((resolve) => setTimeout(resolve, 1000));

    // The pauses are 100, 200, 400, … ms.
    expect(starts).toBeLessThan(8);
  });

  it('kills an executor at a deadline and lets the others serve on (55)', async () => {
    await startPool();
    const late = predict(ENDLESS, endlessInput, { deadlineMs: 1_500 });
    await until(() => pool.state().executors.some(({ busy }) => busy));

    for (let request = 0; request < 20; request++) expect(await predict(A)).toEqual([1, 0, 1]);

    await expect(late).rejects.toMatchObject({ kind: 'deadline' });
    await until(() => pool.state().executors.some(({ restarts }) => restarts > 0));
    expect(
      pool
        .state()
        .executors.map(({ restarts }) => restarts)
        .sort(),
    ).toEqual([0, 1]);
  });

  it('answers what waited for a lost executor once another has taken its place (133)', async () => {
    await startPool({ executors: 1 });
    await predict(A);
    await pool.load(ENDLESS, ENGINE);
    const late = predict(ENDLESS, endlessInput, { deadlineMs: 1_000 });
    await until(() => pool.state().executors[0]!.busy);

    const waiting = Promise.all([1, 2, 3].map(async () => await predict(A)));

    await expect(late).rejects.toMatchObject({ kind: 'deadline' });
    expect(await waiting).toEqual(new Array(3).fill([1, 0, 1]));
    expect(pool.state().executors[0]!.restarts).toBe(1);
  });

  it('gives up a request that waited too long, and kills nothing for it', async () => {
    await startPool({ executors: 1 });
    await predict(A);
    await pool.load(ENDLESS, ENGINE);
    const computing = predict(ENDLESS, endlessInput, { deadlineMs: 2_000 });
    await until(() => pool.state().executors[0]!.busy);

    await expect(predict(A, quickInput, { deadlineMs: 100 })).rejects.toMatchObject({
      kind: 'deadline',
      details: { step: 'queue' },
    });

    expect(pool.state().executors[0]!.restarts).toBe(0);
    await expect(computing).rejects.toMatchObject({ details: { step: 'predict' } });
  });

  it('drops requests whose callers went away, and computes none of them (109)', async () => {
    await startPool({ executors: 1 });
    await predict(A);
    await pool.load(ENDLESS, ENGINE);
    const computing = predict(ENDLESS, endlessInput, { deadlineMs: 2_000 });
    await until(() => pool.state().executors[0]!.busy);
    const callers = Array.from({ length: 1000 }, () => new AbortController());
    const cancelled = callers.map(async ({ signal }) => await predict(A, quickInput, { signal }));
    await until(() => pool.state().waiting === 1000);

    for (const caller of callers) caller.abort();

    const outcomes = await Promise.allSettled(cancelled);
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']));
    expect(pool.state().waiting).toBe(0);
    await expect(predict(A, quickInput, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'prediction_cancelled',
    });
    await expect(computing).rejects.toMatchObject({ kind: 'deadline' });
  });

  it('refuses more waiting requests than it may hold, at once (108)', async () => {
    await startPool({ executors: 1 });
    await predict(A);
    await pool.load(ENDLESS, ENGINE);
    const computing = predict(ENDLESS, endlessInput, { deadlineMs: 2_000 });
    await until(() => pool.state().executors[0]!.busy);
    const waiting = Array.from({ length: 1024 }, async () => {
      await predict(A).catch(() => undefined);
    });

    await expect(predict(A)).rejects.toMatchObject({ kind: 'overloaded' });

    await expect(computing).rejects.toMatchObject({ kind: 'deadline' });
    await Promise.all(waiting);
  });

  it('finishes what is under way when it stops, and refuses what waits (134)', async () => {
    await startPool({ executors: 1 });
    await predict(A);
    const underWay = predict(SLOW, slowInput);
    await until(() => pool.state().executors[0]!.busy);
    const waiting = predict(A);
    await until(() => pool.state().waiting === 1);

    const stopped = pool.stop();

    await expect(waiting).rejects.toMatchObject({ kind: 'unavailable' });
    expect((await underWay).length).toBe(20);
    await stopped;
    await expect(predict(A)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('starts an executor of another engine when a version needs that', async () => {
    await startPool({ executors: 1 });

    const { outputs } = await pool.predict(A, OTHER, quickInput, { deadlineMs: DEADLINE_MS });

    expect([...outputs['large']!.data]).toEqual([1, 0, 1]);
    expect(pool.state().executors.map(({ engine }) => engine)).toEqual([ENGINE, OTHER]);
  });

  it('starts as many of another engine where much may run on that', async () => {
    await startPool({ executors: 2, equals: [OTHER] });

    await pool.predict(A, OTHER, quickInput, { deadlineMs: DEADLINE_MS });

    expect(pool.state().executors.filter(({ engine }) => engine === OTHER)).toHaveLength(2);
  });

  it('tries a load that keeps failing only after a pause, and serves others meanwhile (128)', async () => {
    await startPool({ executors: 1 });
    source.failures = [away(), away()];
    await predict(B);

    await expect(predict(A)).rejects.toMatchObject({ code: 'database_unavailable' });
    await expect(predict(A)).rejects.toMatchObject({ code: 'database_unavailable' });
    await expect(predict(A)).rejects.toMatchObject({
      code: 'load_failing',
      details: { retryAfterSeconds: 1 },
    });
    expect(pool.state().failedLoads).toMatchObject([{ version: 'a/1', failures: 2 }]);
    expect(await predict(B)).toEqual([1, 0, 1]);
    expect(source.loads).toEqual(['b', 'a', 'a']);

    await until(() => pool.state().failedLoads[0]!.retryInMs === 0);
    expect(await predict(A)).toEqual([1, 0, 1]);
    const { failedLoads, recentLoads } = pool.state();
    expect(failedLoads).toEqual([]);
    expect(recentLoads.map(({ version, ok, reason }) => [version, ok, reason])).toEqual([
      ['a/1', true, undefined],
      ['a/1', false, 'The database is away'],
      ['a/1', false, 'The database is away'],
      ['b/1', true, undefined],
    ]);
  });

  it('answers what is wrong with a version that never loads, without trying each time (129)', async () => {
    await startPool({ executors: 1 });
    const unfit = (): Error => new ModelUnloadableError('Not a model');
    source.failures = [unfit(), unfit(), unfit()];

    for (let request = 0; request < 20; request++) {
      await expect(predict(A)).rejects.toMatchObject({ code: 'model_unloadable' });
    }

    expect(source.loads).toEqual(['a', 'a']);
  });

  it('loads again what was loading when its executor was lost to another version (133)', async () => {
    await startPool({ executors: 1 });
    await pool.load(ENDLESS, ENGINE);
    const late = predict(ENDLESS, endlessInput, { deadlineMs: 1_000 });
    await until(() => pool.state().executors[0]!.busy);

    const waiting = predict(A);

    await expect(late).rejects.toMatchObject({ kind: 'deadline' });
    expect(await waiting).toEqual([1, 0, 1]);
  });

  it('says which version cost an executor its life, when it can be but one', async () => {
    const killed = await startWatchedPool();
    await pool.load(ENDLESS, ENGINE);

    await expect(predict(ENDLESS, endlessInput, { deadlineMs: 1_000 })).rejects.toMatchObject({
      kind: 'deadline',
    });

    expect(killed).toEqual(['endless']);
  });

  it('says of no version that it cost an executor its life when it can be either of two', async () => {
    const killed = await startWatchedPool();
    await pool.load(ENDLESS, ENGINE);
    const computing = predict(ENDLESS, endlessInput, { deadlineMs: 1500 });
    await until(() => pool.state().executors[0]!.busy);
    const loading = pool.load(B, ENGINE);

    await Promise.allSettled([computing, loading]);

    expect(killed).toEqual([]);
  });

  it('does not hold a version responsible whose call began with little time left (133)', async () => {
    const other = version('other', endless);
    const killed = await startWatchedPool();
    await pool.load(other, ENGINE);
    await pool.load(ENDLESS, ENGINE);

    const first = predict(ENDLESS, endlessInput, { deadlineMs: 4000 });
    const behind = predict(other, endlessInput, { deadlineMs: 7900 });
    await Promise.allSettled([first, behind]);

    expect(killed).toEqual(['endless']);
  });

  it('does not hold a version responsible for what it cannot compute or load', async () => {
    const killed = await startWatchedPool();

    await expect(predict(A, { y: floatTensor([1, 3], [1, 2, 3]) })).rejects.toThrow();
    await expect(predict(version('nowhere', quick))).rejects.toThrow('No file');

    expect(killed).toEqual([]);
  });

  it('replaces an executor that has grown, between two requests', async () => {
    let grown = true;
    await startPool({ executors: 1, decideRecycle: () => (grown ? 'it has grown' : null) });
    const { pid } = pool.state().executors[0]!;

    expect(await predict(A)).toEqual([1, 0, 1]);
    grown = false;
    const answers = await Promise.all(Array.from({ length: 20 }, async () => await predict(A)));

    expect(answers).toEqual(new Array(20).fill([1, 0, 1]));
    expect(pool.state().executors[0]!).toMatchObject({ restarts: 1 });
    expect(pool.state().executors[0]!.pid).not.toBe(pid);
  });

  it('tells everyone who waited that a load failed, and tries anew for the next', async () => {
    await startPool({ executors: 1 });
    const missing = version('nowhere', quick);

    const outcomes = await Promise.allSettled([predict(missing), predict(missing)]);

    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(source.loads).toEqual(['nowhere']);
    await expect(predict(missing)).rejects.toThrow('No file');
    expect(source.loads).toEqual(['nowhere', 'nowhere']);
    expect(loaded()).toEqual([]);
  });
});
