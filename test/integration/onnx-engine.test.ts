import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { type NamedTensors, type Tensor } from '../../src/common/tensor';
import { type LoadableVersion } from '../../src/models/version';
import { COMPILER_VERSION } from '../../src/runtime/compile/compiler-version';
import { type EngineName } from '../../src/runtime/engines/engine';
import { Executor } from '../../src/runtime/executor';
import { ModelUnloadableError } from '../../src/runtime/runtime.errors';
import { Sandbox } from '../../src/runtime/sandbox';
import { TestLoad } from '../../src/runtime/test-load';
import { forgeOnnx } from '../support/forged-onnx';
import { differences, floatTensor, goldenInputs, plainName, readGolden } from '../support/golden';
import { aVersion, inspected, MemorySource, readArtifact } from '../support/loadable';
import {
  aGraph,
  dividedByZero,
  greaterThanHalf,
  placeholder,
  unknownOp,
} from '../support/tiny-graphs';

type Files = Map<string, Uint8Array>;
const DEADLINE_MS = 120_000;

/** Computes what no two libraries agree on: the tail of a series of products that chaos rules. */
function unstable(): Files {
  const nodes = Array.from({ length: 60 }, (_, index) => [
    { name: `m${index}`, op: 'Sub', input: ['one', index === 0 ? 'x' : `y${index - 1}`], attr: {} },
    {
      name: `p${index}`,
      op: 'Mul',
      input: [index === 0 ? 'x' : `y${index - 1}`, `m${index}`],
      attr: {},
    },
    { name: `e${index}`, op: 'Exp', input: [`p${index}`], attr: {} },
    { name: `l${index}`, op: 'Log', input: [`e${index}`], attr: {} },
    { name: `y${index}`, op: 'Mul', input: [`l${index}`, 'four'], attr: {} },
  ]).flat();
  return aGraph(
    [placeholder('x', 'DT_FLOAT', [-1, 3]), ...nodes],
    [
      { name: 'one', value: 1 },
      { name: 'four', value: 3.99 },
    ],
  );
}

describe('onnx engine', () => {
  let files: Files;
  const executors: Executor[] = [];
  const start = async (engine: EngineName): Promise<Executor> => {
    const source = new MemorySource(files);
    const executor = await Executor.start({ engine, files: source, log: () => undefined });
    executors.push(executor);
    return executor;
  };
  afterEach(async () => {
    await Promise.all(
      executors.splice(0).map(async (executor) => {
        await executor.stop();
      }),
    );
  });

  async function predict(version: LoadableVersion, inputs: NamedTensors): Promise<NamedTensors> {
    const executor = await start('onnx');
    await executor.load(version, DEADLINE_MS);
    return (await executor.predict(version, inputs, DEADLINE_MS)).outputs;
  }

  it.each([
    ['a layers model', 'tfjs/digits-cnn-v1.k2h5'],
    ['two inputs and two outputs', 'tfjs/digits-multi.k3h5.fixed'],
    ['a graph', 'hm-liveness'],
    ['quantised weights', 'tfjs/digits-cnn-v1.graph-uint8'],
    ['masked sequences', 'tfjs/zoo-text.k3h5.fixed'],
  ])('predicts with %s as the reference does', async (_, folder) => {
    files = readArtifact(folder);
    const golden = readGolden(folder);

    const outputs = await predict(aVersion(files), goldenInputs(golden));

    for (const expected of golden.outputs) {
      expect(differences(outputs[plainName(expected.name)]!, expected)).toEqual([]);
    }
  });

  it('gives truth values as one byte each, from inputs that start anywhere', async () => {
    files = greaterThanHalf();
    const shifted = new Uint8Array(13);
    shifted.set(floatTensor([1, 3], [0.9, 0.1, 0.6]).data, 1);
    const x: Tensor = { dtype: 'float32', shape: [1, 3], data: shifted.subarray(1) };

    const { large } = await predict(aVersion(files), { x });

    expect(large).toMatchObject({ dtype: 'bool', shape: [1, 3] });
    expect([...large!.data]).toEqual([1, 0, 1]);
  });

  it('lets NaN and infinities through in both directions (84)', async () => {
    files = dividedByZero();

    const { y } = await predict(aVersion(files), { x: floatTensor([1, 3], [2, -3, NaN]) });

    expect([...new Float32Array(y!.data.slice().buffer)]).toEqual([Infinity, -Infinity, NaN]);
  });

  it('names an op that has no compiled form (53)', async () => {
    files = unknownOp();

    const attempt = (await start('onnx')).load(aVersion(files), DEADLINE_MS);

    await expect(attempt).rejects.toThrow(ModelUnloadableError);
    await expect(attempt).rejects.toThrow('Op Frobnicate is not compiled');
  });

  it('refuses inputs under other names or of other sizes, and goes on serving (67)', async () => {
    files = readArtifact('tfjs/cancer-mlp.k3h5.fixed');
    const version = aVersion(files);
    const executor = await start('onnx');
    await executor.load(version, DEADLINE_MS);
    const x = floatTensor([1, 30], new Array<number>(30).fill(0));

    await expect(executor.predict(version, { z: x }, DEADLINE_MS)).rejects.toThrow('missing');
    const short = { features: floatTensor([1, 3], [1, 2, 3]) };
    await expect(executor.predict(version, short, DEADLINE_MS)).rejects.toThrow('cannot compute');

    const { outputs } = await executor.predict(version, { features: x }, DEADLINE_MS);
    expect(outputs['benign_p']?.shape).toEqual([1, 1]);
  });

  it('is answered within the call, before anything else has its turn', () => {
    const program = join(__dirname, '../support/open-onnx.cjs');
    const { stdout, stderr } = spawnSync(process.execPath, [program], { input: forgeOnnx() });

    expect(stderr.toString()).toBe('');
    expect(JSON.parse(stdout.toString())).toMatchObject({
      isAtOnce: true,
      y: [1, 2],
      inputNames: ['x'],
      outputNames: ['y'],
    });
  });

  it('keeps nothing of a model that was unloaded', async () => {
    files = readArtifact('tfjs/cancer-mlp.k3h5.fixed');
    const executor = await start('onnx');
    await executor.load(aVersion(files), DEADLINE_MS);
    const loaded = await executor.stats(DEADLINE_MS);

    await executor.unload('tested/1', DEADLINE_MS);

    expect(loaded.tensors).toBe(1);
    expect((await executor.stats(DEADLINE_MS)).tensors).toBe(0);
  });

  describe('at the test load', () => {
    let sandbox: Sandbox;
    beforeEach(() => {
      sandbox = new Sandbox(start);
    });
    afterEach(async () => {
      await sandbox.stop();
    });

    it('counts where it answers as the reference did, and says of which release it is', async () => {
      files = readArtifact('tfjs/digits-cnn-v1.graph');
      const tests = new TestLoad(sandbox, DEADLINE_MS, DEADLINE_MS);

      const { engines } = await tests.run(aVersion(files, inspected(files)), [
        'onnx',
        'wasm',
        'cpu',
      ]);

      expect(Object.keys(engines).sort()).toEqual(['onnx', 'wasm']);
      expect(engines['wasm']?.ok).toBe(true);
      expect(engines['onnx']).toMatchObject({
        ok: true,
        compiler: COMPILER_VERSION,
        rowsApart: true,
        measuredWith: expect.stringContaining('ONNX Runtime'),
        msPerBatch: { '1': expect.any(Number), '32': expect.any(Number) },
      });
    });

    it('is dropped where it answers otherwise, and says where', async () => {
      files = unstable();
      const tests = new TestLoad(sandbox, DEADLINE_MS, DEADLINE_MS);

      const { engines } = await tests.run(aVersion(files, inspected(files)), ['onnx', 'wasm']);

      expect(engines['wasm']?.ok).toBe(true);
      expect(engines['onnx']).toMatchObject({ ok: false, compiler: COMPILER_VERSION });
      expect(engines['onnx']?.reason).toMatch(/not used: with \w.* output y59 differs at \d/);
    });

    it('does not stand in the way of a model that it cannot run', async () => {
      files = readArtifact('hm-handtrack');
      const tests = new TestLoad(sandbox, DEADLINE_MS, DEADLINE_MS);

      const { engines } = await tests.run(aVersion(files, inspected(files)), ['onnx', 'wasm']);

      expect(engines['wasm']?.ok).toBe(true);
      expect(engines['onnx']?.reason).toContain('Loops are not compiled');
    });

    it('is compared even where it is the only engine that may serve', async () => {
      files = readArtifact('tfjs/cancer-mlp.k3h5.fixed');
      const tests = new TestLoad(sandbox, DEADLINE_MS, DEADLINE_MS);

      const { engines } = await tests.run(aVersion(files, inspected(files)), ['onnx']);

      expect(engines['onnx']?.ok).toBe(true);
      expect(engines['wasm']?.ok).toBe(true);
    });

    it('refuses a model that the only engine allowed cannot run, and says why', async () => {
      files = readArtifact('hm-handtrack');
      const tests = new TestLoad(sandbox, DEADLINE_MS, DEADLINE_MS);

      const attempt = tests.run(aVersion(files, inspected(files)), ['onnx']);

      await expect(attempt).rejects.toThrow('Loops are not compiled');
    });
  });
});
