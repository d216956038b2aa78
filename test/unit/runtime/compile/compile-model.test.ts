import { elementCount, type NamedTensors } from '../../../../src/common/tensor';
import { type CompiledModel } from '../../../../src/runtime/compile/compiled-form';
import { type Engine } from '../../../../src/runtime/engines/engine';
import { openWasmEngine } from '../../../../src/runtime/engines/wasm-engine';
import { NotCompiledError } from '../../../../src/runtime/runtime.errors';
import { compiled, differencesBetween } from '../../../support/compiled';
import {
  differences,
  type Golden,
  goldenInputs,
  listGoldenModels,
  plainName,
  readGolden,
} from '../../../support/golden';
import { aVersion, MemorySource, readArtifact } from '../../../support/loadable';
import { OnnxChild } from '../../../support/onnx-child';

/** Models with loops, which stay with TensorFlow.js, and what the compiler says of each. */
const LOOPS: Readonly<Record<string, string>> = {
  'hm-faceboxes': 'Loops are not compiled',
  'hm-handtrack': 'Loops are not compiled',
  'tfjs/digits-lstm.graph': 'Loops are not compiled',
  'tfjs/digits-lstm.graph-cfv2': 'Op TensorListFromTensor is not compiled',
};
/** A reference that wasm cannot compute; the tests of graphs compare it with cpu. */
const LACKS_A_KERNEL = new Set(['tfjs/zoo-mha.graph']);

/** Where the wasm and cpu backends are this far apart themselves on the same input. */
const NOISE: Readonly<Record<string, number>> = { 'hm-movenet-lightning': 4e-6 };

const models = listGoldenModels().filter((name) => !(name in LOOPS));

/** The golden input with other values, and more rows where the model takes them. */
function otherInputs(golden: Golden, model: CompiledModel, batch: number): NamedTensors | null {
  if (batch > 1 && model.inputs.some(({ shape }) => shape[0] !== -1)) return null;
  const rows = golden.inputs.map((input, index) => ({
    ...input,
    shape: [batch, ...input.shape.slice(1)],
    seed: 100 * batch + index,
  }));
  return goldenInputs({ ...golden, inputs: rows });
}

describe('compileModel', () => {
  let child: OnnxChild;
  let wasm: Engine;
  beforeAll(async () => {
    wasm = await openWasmEngine();
    child = new OnnxChild();
  });
  afterAll(async () => {
    await child.stop();
  });

  it.each(models)('computes %s as TensorFlow.js does', async (name) => {
    const [files, golden] = [readArtifact(name), readGolden(name)];
    const onnx = await compiled(files);

    const outputs = await child.run(onnx, goldenInputs(golden));

    for (const expected of golden.outputs) {
      expect(differences(outputs[plainName(expected.name)]!, expected)).toEqual([]);
    }
    if (LACKS_A_KERNEL.has(name)) return;
    const model = await wasm.load(aVersion(files), new MemorySource(files));
    for (const batch of [1, 3]) {
      const inputs = otherInputs(golden, onnx, batch);
      if (!inputs) continue;
      const [actual, expected] = [await child.run(onnx, inputs), await model.predict(inputs)];
      expect(differencesBetween(actual, expected, NOISE[name])).toEqual([]);
    }
    await model.dispose();
  });

  it.each(Object.entries(LOOPS))('says of %s: %s', async (name, reason) => {
    const attempt = compiled(readArtifact(name));

    await expect(attempt).rejects.toThrow(NotCompiledError);
    await expect(attempt).rejects.toThrow(reason);
  });

  it("names inputs and outputs as the version's signature does", async () => {
    const signature = {
      inputs: [{ name: 'conv2d_1_input', dtype: 'float32' as const, shape: [-1, 32, 32, 3] }],
      outputs: [{ name: 'activation_6', dtype: 'float32' as const, shape: [-1, 2] }],
    };

    const { inputs, outputs } = await compiled(readArtifact('hm-liveness'), { signature });

    expect(inputs).toMatchObject(signature.inputs);
    expect(outputs.map(({ name }) => name)).toEqual(['activation_6']);
  });

  it('leaves weights out that it has folded into others', async () => {
    const files = readArtifact('nsfw-mobilenet-v2');
    const json = JSON.parse(new TextDecoder().decode(files.get('model.json'))) as {
      weightsManifest: { weights: { shape: number[] }[] }[];
    };
    const numbers = json.weightsManifest
      .flatMap(({ weights }) => weights)
      .reduce((sum, { shape }) => sum + elementCount(shape), 0);

    const { onnx } = await compiled(files);

    // 52 batch norms of four numbers a channel have become one bias a channel.
    expect(onnx.byteLength).toBeLessThan(4 * numbers);
    expect(Buffer.from(onnx).toString('latin1')).not.toContain('BatchNormalization');
  });
});
