import { type EngineName } from '../../src/runtime/engines/engine';
import { Executor } from '../../src/runtime/executor';
import { Sandbox } from '../../src/runtime/sandbox';
import { TestLoad } from '../../src/runtime/test-load';
import { aVersion, inspected, MemorySource, readArtifact } from '../support/loadable';

const DEADLINE_MS = 120_000;
const artifact = readArtifact('tfjs/cancer-mlp.k3h5.fixed');

describe('TestLoad', () => {
  let sandbox: Sandbox;
  beforeEach(() => {
    sandbox = new Sandbox(
      async (engine: EngineName) =>
        await Executor.start({ engine, files: new MemorySource(artifact), log: () => undefined }),
    );
  });
  afterEach(async () => {
    await sandbox.stop();
  });

  const version = aVersion(artifact, inspected(artifact));

  it('measures each engine at batch 1 and 32, and says with what it did', async () => {
    const tests = new TestLoad(sandbox, DEADLINE_MS, DEADLINE_MS, null);

    const { engines } = await tests.run(version, ['wasm', 'cpu']);

    for (const engine of ['wasm', 'cpu']) {
      expect(engines[engine]).toMatchObject({
        ok: true,
        measuredWith: expect.stringContaining('TensorFlow.js'),
        msPerBatch: { '1': expect.any(Number), '32': expect.any(Number) },
      });
    }
  });

  it('leaves the last resort out where another engine runs the version', async () => {
    const tests = new TestLoad(sandbox, DEADLINE_MS, DEADLINE_MS);

    const { engines } = await tests.run(version, ['wasm', 'cpu']);

    expect(Object.keys(engines)).toEqual(['wasm']);
  });
});
