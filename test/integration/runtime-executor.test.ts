import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type ObjectId } from 'mongodb';

import { blobsOf } from '../../src/artifacts/artifact';
import { type EngineName } from '../../src/runtime/engines/engine';
import { hasNativePackage } from '../../src/runtime/engines/native-package';
import { Executor } from '../../src/runtime/executor';
import { PredictionDeadlineError } from '../../src/runtime/runtime.errors';
import { type FreshDatabase, freshDatabase } from '../support/database';
import { differences, floatTensor, goldenInputs, plainName, readGolden } from '../support/golden';
import { aVersion, MemorySource, readArtifact } from '../support/loadable';
import { isAlive, untilGone } from '../support/processes';
import { storeVersion } from '../support/stored-version';
import { endlessLoop, filledWith, greaterThanHalf } from '../support/tiny-graphs';

type Files = Map<string, Uint8Array>;

const ENGINE = (process.env['GRIDSTOW_ENGINE'] ?? 'wasm').replace('auto', 'wasm') as EngineName;
const DEADLINE_MS = 120_000;
const quick = greaterThanHalf();
const quickVersion = aVersion(quick, { version: 2 });
const quickInput = { x: floatTensor([1, 3], [0.9, 0.1, 0.6]) };
const endless = endlessLoop();
const endlessVersion = aVersion(endless);
const endlessInput = { x: floatTensor([1], [1]) };

async function start(
  source: Files = quick,
  engine = ENGINE,
  log: string[] = [],
): Promise<Executor> {
  return await Executor.start({
    engine,
    files: new MemorySource(source),
    log: (line) => log.push(line),
  });
}

describe('Executor', () => {
  const executors: Executor[] = [];
  async function started(source?: Files): Promise<Executor> {
    const executor = await start(source);
    executors.push(executor);
    return executor;
  }
  afterEach(async () => {
    await Promise.all(
      executors.splice(0).map(async (executor) => {
        await executor.stop();
      }),
    );
  });

  it('says which engine it runs, and stands on its own process', async () => {
    const executor = await started();

    expect(executor.description).toContain('TensorFlow.js 4');
    expect(executor.pid).not.toBe(process.pid);
    expect(isAlive(executor.pid)).toBe(true);
  });

  it.each(['tfjs/digits-multi.k3h5.fixed', 'hm-faceboxes', 'nsfw-mobilenet-v2'])(
    'computes %s and returns to its count of tensors each time',
    async (folder) => {
      const artifact = readArtifact(folder);
      const golden = readGolden(folder);
      const executor = await started(artifact);
      const version = aVersion(artifact);
      const before = (await executor.stats(DEADLINE_MS)).tensors;
      await executor.load(version, DEADLINE_MS);
      const loaded = (await executor.stats(DEADLINE_MS)).tensors;

      for (let round = 0; round < 3; round++) {
        const { outputs } = await executor.predict(version, goldenInputs(golden), DEADLINE_MS);
        for (const expected of golden.outputs) {
          expect(differences(outputs[plainName(expected.name)]!, expected)).toEqual([]);
        }
        expect((await executor.stats(DEADLINE_MS)).tensors).toBe(loaded);
      }

      await executor.unload('tested/1', DEADLINE_MS);
      expect((await executor.stats(DEADLINE_MS)).tensors).toBe(before);
    },
  );

  it('keeps few heaps, in the environment of the service without what belongs to it alone', async () => {
    const executor = await started();

    const environment = readFileSync(`/proc/${executor.pid}/environ`, 'utf8').split('\0');

    expect(environment).toContain('MALLOC_ARENA_MAX=2');
    expect(environment.some((one) => one.startsWith('PATH='))).toBe(true);
    expect(environment.some((one) => one.startsWith('MONGODB_URI='))).toBe(false);
  });

  it('loads a version once, however often it is asked to', async () => {
    const executor = await started(quick);

    await Promise.all([1, 2, 3].map(async () => await executor.load(quickVersion, DEADLINE_MS)));

    const { tensors, versions } = await executor.stats(DEADLINE_MS);
    expect({ tensors, versions }).toEqual({ tensors: 1, versions: ['tested/2'] });
  });

  it('fails the late request 504 and the others 503 when a deadline kills it (55, 133)', async () => {
    const executor = await started(endless);
    await executor.load(endlessVersion, DEADLINE_MS);

    const late = executor.predict(endlessVersion, endlessInput, 300);
    const innocent = executor.predict(endlessVersion, endlessInput, DEADLINE_MS);

    await expect(late).rejects.toThrow(PredictionDeadlineError);
    await expect(innocent).rejects.toMatchObject({ code: 'executor_lost', kind: 'unavailable' });
    await expect(executor.ended).resolves.toContain('exceeded its deadline of 300 ms');
    expect(isAlive(executor.pid)).toBe(false);
    await expect(executor.stats(DEADLINE_MS)).rejects.toMatchObject({ code: 'executor_lost' });
  });

  it('fails what is under way 503 when its process is killed (133)', async () => {
    const executor = await started(endless);
    await executor.load(endlessVersion, DEADLINE_MS);

    const underWay = executor.predict(endlessVersion, endlessInput, DEADLINE_MS);
    process.kill(executor.pid, 'SIGKILL');

    await expect(underWay).rejects.toMatchObject({ code: 'executor_lost' });
    await expect(executor.ended).resolves.toContain('SIGKILL');
  });

  it('hands on what libraries print, without a byte of it among the answers', async () => {
    const log: string[] = [];
    const executor = await start(quick, 'cpu', log);
    executors.push(executor);
    await executor.load(quickVersion, DEADLINE_MS);

    const { outputs } = await executor.predict(quickVersion, quickInput, DEADLINE_MS);

    expect([...outputs['large']!.data]).toEqual([1, 0, 1]);
    expect(log.join()).toContain('TensorFlow.js in Node.js');
  });

  it('outlives Ctrl-C, which reaches every process of a terminal', async () => {
    const executor = await started(quick);
    process.kill(executor.pid, 'SIGINT');
    process.kill(executor.pid, 'SIGTERM');

    await executor.load(quickVersion, DEADLINE_MS);

    expect(executor.isAlive).toBe(true);
  });

  it('ends when it is stopped, and leaves nothing behind in the temporary directory', async () => {
    const before = gridstowFolders();
    const executor = await start();

    expect(gridstowFolders()).toEqual(before);
    await executor.stop();

    expect(isAlive(executor.pid)).toBe(false);
    await expect(executor.ended).resolves.toBe('it was stopped');
  });

  it.each(['is idle', 'computes without end'])(
    'ends when its parent is killed while it %s',
    async (state) => {
      const folder = await mkdtemp(join(tmpdir(), 'endless-'));
      for (const [path, bytes] of endless) await writeFile(join(folder, path), bytes);
      const owner = spawn(
        process.execPath,
        [
          join(__dirname, '../support/executor-owner.cjs'),
          ...(state === 'is idle' ? [] : [folder]),
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      const [line] = (await once(owner.stdout, 'data')) as [Buffer];
      const pid = Number(line.toString());
      expect(isAlive(pid)).toBe(true);

      owner.kill('SIGKILL');

      expect(await untilGone(pid, 10_000)).toBe(true);
      await rm(folder, { recursive: true });
    },
  );

  it('stays as it was after a thousand loads that fail (62b)', async () => {
    const artifact = new Map(readArtifact('tfjs/digits-cnn-v1.k3h5.fixed'));
    const [shard = ''] = [...artifact.keys()].filter((path) => path.endsWith('.bin'));
    artifact.set(shard, artifact.get(shard)!.slice(0, 64));
    const executor = await started(artifact);
    const fail = async (times: number): Promise<void> => {
      for (let load = 0; load < times; load++) {
        await expect(
          executor.load(aVersion(artifact, { version: load }), DEADLINE_MS),
        ).rejects.toThrow();
      }
    };
    await fail(100);
    const before = await executor.stats(DEADLINE_MS);

    await fail(900);

    const after = await executor.stats(DEADLINE_MS);
    expect(after).toMatchObject({ tensors: before.tensors, versions: [] });
    expect(after.rssBytes - before.rssBytes).toBeLessThan(64 * 1024 ** 2);
  });

  if (process.platform === 'linux') {
    it('is ended when it takes more memory than it may (56)', async () => {
      const greedy = filledWith(4e8);
      const executor = await Executor.start({
        engine: ENGINE,
        files: new MemorySource(greedy),
        maxRssBytes: 600 * 1024 ** 2,
        log: () => undefined,
      });
      const version = aVersion(greedy);
      await executor.load(version, DEADLINE_MS);

      const calls = async (): Promise<void> => {
        for (;;) await executor.predict(version, { x: floatTensor([1], [1]) }, DEADLINE_MS);
      };

      await expect(calls()).rejects.toThrow(/memory/);
      expect(await executor.ended).toMatch(/MiB of memory, 600 MiB are allowed/);
    });
  }

  if (!hasNativePackage()) {
    it('says what to do when its engine is not installed, and leaves no process', async () => {
      const attempt = Executor.start({
        engine: 'node',
        files: new MemorySource(quick),
        log: () => undefined,
      });

      await expect(attempt).rejects.toThrow('npm run native');
      await expect(attempt).rejects.toMatchObject({ code: 'engine_unavailable' });
    });
  }

  describe('with a database', () => {
    let database: FreshDatabase;
    beforeAll(() => {
      database = freshDatabase();
    });
    afterAll(async () => {
      await database.close();
    });

    async function onDatabase(uri = database.uri): Promise<Executor> {
      const executor = await Executor.start({
        engine: ENGINE,
        files: { uri, db: database.name },
        log: () => undefined,
      });
      executors.push(executor);
      return executor;
    }

    it('reads the version from GridFS itself', async () => {
      const executor = await onDatabase();
      const version = await storeVersion(database.db, quick);

      const { bytes, inputs } = await executor.load(version, DEADLINE_MS);

      expect(bytes).toBe(4);
      expect(inputs).toEqual([{ name: 'x', dtype: 'float32', shape: [-1, 3] }]);
    });

    it('refuses a version whose stored bytes were altered (19)', async () => {
      const executor = await onDatabase();
      const version = await storeVersion(database.db, quick);
      const weights = version.files.find(({ path }) => path === 'weights.bin');
      const files_id = weights!.ref.segments[0]!.blob;
      const chunk = await database.db.collection('artifacts.chunks').findOne({ files_id });
      const data = Buffer.from((chunk!['data'] as { buffer: Uint8Array }).buffer);
      data[0]! ^= 1;
      await database.db.collection('artifacts.chunks').updateOne({ files_id }, { $set: { data } });

      await expect(executor.load(version, DEADLINE_MS)).rejects.toMatchObject({
        code: 'artifact_corrupt',
        kind: 'corrupt',
      });
      const { tensors, versions } = await executor.stats(DEADLINE_MS);
      expect({ tensors, versions }).toEqual({ tensors: 0, versions: [] });
    });

    it('refuses a version whose chunks are gone (17)', async () => {
      const executor = await onDatabase();
      const version = await storeVersion(database.db, quick);
      await database.db
        .collection<{ files_id: ObjectId }>('artifacts.chunks')
        .deleteMany({ files_id: { $in: blobsOf(version.files) } });

      await expect(executor.load(version, DEADLINE_MS)).rejects.toMatchObject({ kind: 'corrupt' });
    });

    it('says that its database is away, which may pass', async () => {
      const executor = await onDatabase('mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300');
      const version = await storeVersion(database.db, quick);

      await expect(executor.load(version, DEADLINE_MS)).rejects.toMatchObject({
        code: 'database_unavailable',
        kind: 'unavailable',
      });
    });
  });
});

function gridstowFolders(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith(`gridstow-${process.pid}-`));
}
