import { installedEngines } from '../../src/runtime/engines/installed-engines';
import { type ModelRuntime } from '../../src/runtime/model-runtime.service';
import { ModelUnloadableError } from '../../src/runtime/runtime.errors';
import { type FreshDatabase, freshDatabase } from '../support/database';
import {
  differences,
  goldenInputs,
  listGoldenModels,
  plainName,
  readGolden,
} from '../support/golden';
import { inspected, readArtifact } from '../support/loadable';
import { startRuntime } from '../support/runtime';
import { storeVersion } from '../support/stored-version';

/** What another engine alone can run, and what it lacks. */
const LACKING: Record<string, Record<string, RegExp>> = {
  wasm: {
    'tfjs/zoo-mha.graph': /wasm engine has no Einsum/,
    'tfjs/digits-lstm.graph-cfv2': /Cannot read properties of undefined/,
  },
  cpu: {},
  node: {},
};

/** Outputs that depend on the order in which an engine keeps boxes of equal score. */
const ENGINE_DEPENDENT: Record<string, RegExp> = { 'hm-handtrack': /^Identity(_[1-5])?$/ };

describe('ModelRuntime', () => {
  let database: FreshDatabase;
  let runtime: ModelRuntime;
  const choice = process.env['GRIDSTOW_ENGINE'] ?? 'auto';

  beforeAll(async () => {
    database = freshDatabase();
    // The reference engine needs half a minute for the largest of the models.
    runtime = await startRuntime(database, { predictTimeoutMs: 240_000 });
  });
  afterAll(async () => {
    await runtime.onApplicationShutdown();
    await database.close();
  });

  it('says which engine runs and why', () => {
    const { ready, name, why } = runtime.describe();

    expect(ready).toBe(true);
    const first = installedEngines().has('onnx') ? 'onnx' : 'wasm';
    expect(name).toBe(choice === 'auto' ? first : choice);
    expect(why).toContain(choice === 'auto' ? 'first choice of auto' : `GRIDSTOW_ENGINE=${choice}`);
  });

  it.each(listGoldenModels().map((folder, index) => [folder, index + 1] as const))(
    'answers for %s, read from GridFS, as the reference does',
    async (folder, number) => {
      const golden = readGolden(folder);
      const artifact = readArtifact(folder);
      const stored = await storeVersion(database.db, artifact, {
        ...inspected(artifact),
        model: 'golden',
        version: number,
      });
      const lacking = LACKING[choice]?.[folder];
      if (lacking) {
        await expect(runtime.testLoad(stored)).rejects.toThrow(lacking);
        return;
      }

      const facts = await runtime.testLoad(stored);
      const version = { ...stored, ...facts };
      // Only of a version that is ready the bytes may be read.
      await database.db
        .collection<{ _id: string; state: string }>('versions')
        .insertOne({ _id: `golden/${number}`, state: 'ready' });
      await runtime.warm(version);
      const { outputs, engine } = await runtime.predict(version, goldenInputs(golden));

      const specs = new Map(facts.signature.outputs.map((spec) => [spec.name, spec]));
      for (const expected of golden.outputs) {
        const name = plainName(expected.name);
        if (engine !== 'cpu' && ENGINE_DEPENDENT[folder]?.test(name)) continue;
        expect({ name, found: differences(outputs[name]!, expected) }).toEqual({ name, found: [] });
        expect(specs.get(name)?.shape.length).toBe(expected.shape.length);
      }
      expect(facts.engines[engine]?.ok).toBe(true);
      await runtime.unload(version);
    },
    300_000,
  );

  it.each([
    ['tfjs/digits-lstm.graph', /(?:Cannot compute|rank-1 bias).*Upload what it was converted from/],
  ])(
    'refuses %s says what each engine lacks, and names the way out (53)',
    async (folder, reason) => {
      if (choice === 'node') return;
      const stored = await storeVersion(database.db, readArtifact(folder), { model: 'golden' });

      const attempt = runtime.testLoad(stored);

      await expect(attempt).rejects.toThrow(ModelUnloadableError);
      await expect(attempt).rejects.toThrow(reason);
    },
  );
});
