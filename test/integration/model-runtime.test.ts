import { installedEngines } from '../../src/runtime/engines/installed-engines';
import { type ModelRuntime } from '../../src/runtime/model-runtime.service';
import { ModelUnloadableError } from '../../src/runtime/runtime.errors';
import { type FreshDatabase, freshDatabase } from '../support/database';
import { readArtifact } from '../support/loadable';
import { startRuntime } from '../support/runtime';
import { storeVersion } from '../support/stored-version';

describe('ModelRuntime', () => {
  let database: FreshDatabase;
  let runtime: ModelRuntime;
  const choice = process.env['GRIDSTOW_ENGINE'] ?? 'auto';

  beforeAll(async () => {
    database = freshDatabase();
    runtime = await startRuntime(database);
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

  it.each([
    ['tfjs/digits-lstm.graph', /(?:Cannot compute|rank-1 bias).*Upload what it was converted from/],
  ])(
    'refuses %s, says what each engine lacks, and names the way out (53)',
    async (folder, reason) => {
      if (choice === 'node') return;
      const stored = await storeVersion(database.db, readArtifact(folder), { model: 'golden' });

      const attempt = runtime.testLoad(stored);

      await expect(attempt).rejects.toThrow(ModelUnloadableError);
      await expect(attempt).rejects.toThrow(reason);
    },
  );
});
