import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import '@tensorflow/tfjs-backend-cpu';
import { type GraphModel, loadGraphModelSync } from '@tensorflow/tfjs-converter';
import { type io } from '@tensorflow/tfjs-core';
import { type LayersModel, loadLayersModel, type SymbolicTensor } from '@tensorflow/tfjs-layers';

import { type TensorSpec } from '../../../src/common/tensor';
import { FaultLog } from '../../../src/formats/fault-log';
import { readKerasModel } from '../../../src/formats/keras-model';
import { modelVariables } from '../../../src/formats/keras-variables';
import { areCompatible } from '../../../src/formats/tensor-shape';
import { fixturePath } from '../../support/fixtures';
import { plainName, readGolden } from '../../support/golden';
import {
  faultsOf,
  type Files,
  inspectFiles,
  type Json,
  jsonOf,
  refusalOf,
} from '../../support/inspected-artifact';
import { readArtifact } from '../../support/loadable';

const MODELS = [
  ...readdirSync(fixturePath('.')).filter((name) => /^(?:hm|nsfw)-/.test(name)),
  ...readdirSync(fixturePath('tfjs')).map((name) => join('tfjs', name)),
].map((name) => ({ name, isGraph: isGraph(name) }));
const GRAPHS = MODELS.filter((model) => model.isGraph).map(({ name }) => name);
const LAYERS = MODELS.filter((model) => !model.isGraph).map(({ name }) => name);
const BROKEN = readdirSync(fixturePath('keras3-broken'), { withFileTypes: true })
  .filter((item) => item.isDirectory())
  .map(({ name }) => name);

describe('inspectArtifact with real models', () => {
  it.each(GRAPHS)('reads of graph %s what TensorFlow.js makes of it', (name) => {
    const files = readArtifact(name);

    const { format, signature, loadedBytes, warnings } = inspectFiles(files);

    const model = loadGraph(files);
    expect(format).toBe('tfjs-graph');
    expect(warnings).toEqual([]);
    expect(namesAndTypes(signature.inputs)).toEqual(
      model.inputs.map(({ name: input, dtype }) => ({ name: input, dtype })),
    );
    model.inputs.forEach(({ shape }, index) => {
      const own = signature.inputs[index]!.shape;
      expect(shape === undefined || areCompatible(own, shape)).toBe(true);
    });
    expect(signature.outputs.map((output) => output.name)).toEqual(
      model.outputs.map((output) => output.name),
    );
    expect(loadedBytes).toBe(bytesOf(Object.values(model.weights).flat()));
    model.dispose();
  });

  it.each(LAYERS)('reads of layers model %s what TensorFlow.js makes of it', async (name) => {
    const files = readArtifact(name);

    const { format, signature, outputsComplete, loadedBytes } = inspectFiles(files);

    const model = await loadLayers(files);
    expect(format).toBe('tfjs-layers');
    expect(signature.inputs).toEqual(model.inputs.map(toSpec));
    expect(signature.outputs.map((output) => output.name)).toEqual(
      model.outputs.map(({ sourceLayer }) => sourceLayer.name),
    );
    expect(outputsComplete).toBe(false);
    expect(loadedBytes).toBe(bytesOf(model.weights.map((weight) => weight.read())));
    model.dispose();
  });

  it.each(LAYERS)('foresees every weight of %s', async (name) => {
    const files = readArtifact(name);
    const faults = new FaultLog();

    const keras = readKerasModel(jsonOf(files).modelTopology, 'model.json', faults);
    const variables = modelVariables(keras!, faults);

    const model = await loadLayers(files);
    const real = new Map(model.weights.map(({ originalName, shape }) => [originalName, shape]));
    expect(variables.map((variable) => variable.name).sort()).toEqual([...real.keys()].sort());
    for (const variable of variables) {
      const expected = variable.shape?.map((extent) => extent ?? -1);
      const shape = real.get(variable.name)!.map((size) => size ?? -1);
      expect(expected === undefined || areCompatible(expected, shape)).toBe(true);
    }
    model.dispose();
  });

  it.each(MODELS.map(({ name }) => name))('fits what the golden run of %s fed and got', (name) => {
    if (!existsSync(fixturePath(join(name, 'golden.json')))) return;
    const golden = readGolden(name);

    const { signature } = inspectFiles(readArtifact(name));

    const fed = new Map(golden.inputs.map((input) => [plainName(input.name), input]));
    expect([...fed.keys()].sort()).toEqual(signature.inputs.map((input) => input.name).sort());
    for (const { name: input, dtype, shape } of signature.inputs) {
      expect(fed.get(input)!.dtype).toBe(dtype);
      expect(areCompatible(shape, fed.get(input)!.shape)).toBe(true);
    }
    expect(golden.outputs.map((output) => plainName(output.name)).sort()).toEqual(
      signature.outputs.map((output) => output.name).sort(),
    );
  });

  it.each(BROKEN)('refuses the Keras 3 topology of %s in one clear sentence', (name) => {
    const [first] = faultsOf(readArtifact(join('keras3-broken', name)));

    expect(first).toMatch(
      /^model\.json: modelTopology: the model was saved by Keras 3 \(.*batch_shape/,
    );
  });

  it.each([
    ['zoo-gru.k3h5', '"gru" is a GRU with reset_after=true'],
    ['zoo-mha.k3keras', '"mha" is of class "MultiHeadAttention"'],
    ['zoo-ops.k3h5', '"relu" is of class "Relu"'],
    ['cancer-mlp-norm.k3h5', '"norm" is of class "Normalization"'],
  ])('names the layer of %s that cannot be computed (60)', (name, sentence) => {
    const faults = faultsOf(readArtifact(join('keras3-broken', name)));

    expect(faults.filter((fault) => fault.includes(sentence))).toHaveLength(1);
  });

  it('refuses weights without a topology and says what is missing', () => {
    const refusal = refusalOf(readArtifact('face-api-weights'));

    expect(refusal.code).toBe('unrecognised_artifact');
    expect(refusal.message).toContain('there is no topology');
  });
});

function isGraph(name: string): boolean {
  const json = JSON.parse(readFileSync(fixturePath(join(name, 'model.json')), 'utf8'));
  return Boolean(json.modelTopology.node);
}

function artifactsOf(files: Files): io.ModelArtifacts {
  const { weightsManifest, ...json } = jsonOf(files);
  delete json.trainingConfig;
  const paths: string[] = weightsManifest.flatMap((group: Json) => group.paths);
  return {
    ...json,
    weightSpecs: weightsManifest.flatMap((group: Json) => group.weights),
    weightData: paths.map((path) => Uint8Array.from(files.get(path)!).buffer),
  } as io.ModelArtifacts;
}

function loadGraph(files: Files): GraphModel<io.IOHandlerSync> {
  return loadGraphModelSync({ load: () => artifactsOf(files) });
}

async function loadLayers(files: Files): Promise<LayersModel> {
  return await loadLayersModel({ load: async () => await Promise.resolve(artifactsOf(files)) });
}

function namesAndTypes(specs: readonly TensorSpec[]): object[] {
  return specs.map(({ name, dtype }) => ({ name, dtype }));
}

function toSpec({ sourceLayer, dtype, shape }: SymbolicTensor): object {
  return { name: sourceLayer.name, dtype, shape: shape.map((size) => size ?? -1) };
}

function bytesOf(tensors: readonly { size: number; dtype: string }[]): number {
  return tensors.reduce((sum, { size, dtype }) => sum + size * (dtype === 'bool' ? 1 : 4), 0);
}
