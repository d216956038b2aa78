import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';

import { NotCompiledError } from '../../../../src/runtime/runtime.errors';
import { type DType, type NamedTensors, type Tensor } from '../../../../src/common/tensor';
import { toModelFiles } from '../../../../src/runtime/model-artifact-files';
import { compiled, differencesBetween } from '../../../support/compiled';
import { OnnxChild } from '../../../support/onnx-child';

/** The library exports no type for layers in general. */
interface Layer {
  apply(input: layers.SymbolicTensor): unknown;
}

/** Weights and inputs without zeros, so that no part of a model is idle. */
function randomized(model: layers.LayersModel): layers.LayersModel {
  model.setWeights(
    model.getWeights().map((weight, index) => {
      const isVariance = model.weights[index]!.originalName.endsWith('variance');
      return isVariance
        ? tf.randomUniform(weight.shape, 0.5, 2, 'float32', index + 1)
        : tf.randomUniform(weight.shape, -0.5, 0.5, 'float32', index + 1);
    }),
  );
  return model;
}

function sequential(shape: (number | null)[], ...parts: Layer[]): layers.LayersModel {
  const [first, ...rest] = parts;
  const input = layers.input({ shape });
  let x = first!.apply(input) as layers.SymbolicTensor;
  for (const part of rest) x = part.apply(x) as layers.SymbolicTensor;
  return layers.model({ inputs: input, outputs: x });
}

async function filesOf(model: layers.LayersModel): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  await model.save({
    save: async (artifacts) => {
      for (const { path, bytes } of toModelFiles(artifacts)) files.set(path, bytes);
      const modelArtifactsInfo = { dateSaved: new Date(), modelTopologyType: 'JSON' as const };
      return await Promise.resolve({ modelArtifactsInfo });
    },
  });
  return files;
}

function plain(tensor: tf.Tensor): Tensor {
  const { buffer, byteOffset, byteLength } = tensor.dataSync();
  const data = new Uint8Array(buffer, byteOffset, byteLength).slice();
  return { dtype: tensor.dtype as DType, shape: tensor.shape, data };
}

/** What the compiled model and TensorFlow.js answer, for one row and for three. */
async function disagreements(
  child: OnnxChild,
  model: layers.LayersModel,
  make: (shape: number[], seed: number) => tf.Tensor = (shape, seed) =>
    tf.randomUniform(shape, -2, 2, 'float32', seed),
): Promise<string[]> {
  const onnx = await compiled(await filesOf(model));
  const found: string[] = [];
  for (const batch of [1, 3]) {
    const inputs = model.inputs.map(({ shape }, index) =>
      make([batch, ...shape.slice(1).map((size) => size ?? 5)], index + batch),
    );
    const outputs = [model.predictOnBatch(inputs.length === 1 ? inputs[0]! : inputs)].flat();
    const expected: NamedTensors = Object.fromEntries(
      outputs.map((tensor, index) => [model.outputs[index]!.sourceLayer.name, plain(tensor)]),
    );
    const named = inputs.map((tensor, index) => [onnx.inputs[index]!.name, plain(tensor)]);
    const actual = await child.run(onnx, Object.fromEntries(named));
    found.push(...differencesBetween(actual, expected));
  }
  return found;
}

const { layers: l } = layers;
const spec = { kernelInitializer: 'zeros' as const, recurrentInitializer: 'zeros' as const };

describe('compileLayers', () => {
  let child: OnnxChild;
  beforeAll(async () => {
    await tf.setBackend('cpu');
    child = new OnnxChild();
  });
  afterAll(async () => {
    await child.stop();
  });

  it.each<[string, (number | null)[], Layer[]]>([
    ['dense on rows', [4], [l.dense({ units: 3, activation: 'relu' })]],
    ['dense on sequences', [5, 4], [l.dense({ units: 3 })]],
    ['conv1d', [9, 3], [l.conv1d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' })]],
    [
      'conv2d',
      [9, 8, 3],
      [l.conv2d({ filters: 4, kernelSize: [3, 2], strides: 2, padding: 'same' })],
    ],
    [
      'dilated conv2d',
      [9, 8, 3],
      [l.conv2d({ filters: 4, kernelSize: 3, dilationRate: 2, padding: 'same' })],
    ],
    [
      'conv2d of open size',
      [null, null, 3],
      [l.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' })],
    ],
    ['conv3d', [4, 5, 4, 2], [l.conv3d({ filters: 3, kernelSize: 2, padding: 'same' })]],
    [
      'conv2d transposed, same',
      [5, 4, 3],
      [l.conv2dTranspose({ filters: 2, kernelSize: 3, strides: 2, padding: 'same' })],
    ],
    [
      'conv2d transposed, valid',
      [5, 4, 3],
      [l.conv2dTranspose({ filters: 2, kernelSize: [2, 4], strides: 3, padding: 'valid' })],
    ],
    [
      'depthwise',
      [7, 6, 3],
      [
        l.depthwiseConv2d({
          kernelSize: 3,
          depthMultiplier: 2,
          strides: 2,
          padding: 'same',
          activation: 'relu6',
        }),
      ],
    ],
    [
      'separable',
      [7, 6, 3],
      [l.separableConv2d({ filters: 4, kernelSize: 3, depthMultiplier: 2, activation: 'elu' })],
    ],
    [
      'a batch norm behind a convolution',
      [6, 6, 2],
      [l.conv2d({ filters: 3, kernelSize: 3 }), l.batchNormalization()],
    ],
    [
      'a batch norm behind an activation',
      [6, 6, 2],
      [l.conv2d({ filters: 3, kernelSize: 3, activation: 'relu' }), l.batchNormalization()],
    ],
    [
      'a batch norm behind a transposed convolution',
      [6, 6, 2],
      [l.conv2dTranspose({ filters: 3, kernelSize: 3, useBias: false }), l.batchNormalization()],
    ],
    [
      'a batch norm behind a depthwise one',
      [6, 6, 2],
      [
        l.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 }),
        l.batchNormalization({ scale: false }),
      ],
    ],
    [
      'a batch norm behind a dense layer',
      [6],
      [l.dense({ units: 3 }), l.batchNormalization({ center: false })],
    ],
    ['a batch norm of inputs', [6], [l.batchNormalization({ epsilon: 0.1 })]],
    ['a layer norm', [6, 4], [l.layerNormalization({ epsilon: 0.01 })]],
    ['max pooling', [7, 6, 2], [l.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' })]],
    [
      'average pooling',
      [7, 6, 2],
      [l.averagePooling2d({ poolSize: [3, 2], strides: 2, padding: 'same' })],
    ],
    [
      'pooling of sequences',
      [7, 2],
      [l.maxPooling1d({ poolSize: 2 }), l.averagePooling1d({ poolSize: 2 })],
    ],
    ['pooling of volumes', [4, 4, 4, 2], [l.maxPooling3d({ poolSize: 2 })]],
    [
      'global average pooling',
      [7, 6, 2],
      [l.conv2d({ filters: 3, kernelSize: 2 }), l.globalAveragePooling2d({})],
    ],
    [
      'global max pooling',
      [7, 6, 2],
      [l.conv2d({ filters: 3, kernelSize: 2 }), l.globalMaxPooling2d({})],
    ],
    ['global pooling of sequences', [7, 2], [l.globalMaxPooling1d()]],
    [
      'flattened images',
      [4, 3, 2],
      [l.conv2d({ filters: 3, kernelSize: 2 }), l.flatten(), l.dense({ units: 2 })],
    ],
    ['reshapes', [12], [l.reshape({ targetShape: [2, -1, 3] }), l.permute({ dims: [3, 1, 2] })]],
    [
      'a permutation behind a convolution',
      [4, 3, 2],
      [l.conv2d({ filters: 3, kernelSize: 2 }), l.permute({ dims: [3, 1, 2] })],
    ],
    ['a repeated vector', [4], [l.repeatVector({ n: 3 })]],
    [
      'paddings',
      [4, 3, 2],
      [
        l.zeroPadding2d({
          padding: [
            [1, 2],
            [0, 3],
          ],
        }),
        l.conv2d({ filters: 2, kernelSize: 2 }),
        l.zeroPadding2d({ padding: 1 }),
      ],
    ],
    [
      'croppings',
      [6, 7, 2],
      [
        l.cropping2D({
          cropping: [
            [1, 2],
            [0, 3],
          ],
        }),
      ],
    ],
    ['nearest upsampling', [3, 4, 2], [l.upSampling2d({ size: [2, 3] })]],
    [
      'bilinear upsampling',
      [3, 4, 2],
      [l.upSampling2d({ size: [2, 3], interpolation: 'bilinear' })],
    ],
    [
      'leaky ReLU and others',
      [5],
      [l.leakyReLU({ alpha: 0.2 }), l.elu(), l.thresholdedReLU({ theta: 0.3 })],
    ],
    ['ReLU with a limit', [5], [l.reLU({ maxValue: 1 })]],
    ['PReLU with shared axes', [4, 3, 2], [l.prelu({ sharedAxes: [1, 2] })]],
    [
      'PReLU behind a convolution',
      [4, 3, 2],
      [l.conv2d({ filters: 2, kernelSize: 2 }), l.prelu({ sharedAxes: [1, 2] })],
    ],
    [
      'what only trains',
      [5],
      [l.dropout({ rate: 0.5 }), l.gaussianNoise({ stddev: 1 }), l.dense({ units: 2 })],
    ],
    ['rescaling', [5], [l.rescaling({ scale: 0.5, offset: -1 })]],
    ['a simple RNN', [6, 3], [l.simpleRNN({ units: 4, ...spec })]],
    ['a GRU', [6, 3], [l.gru({ units: 4, returnSequences: true, ...spec })]],
    ['an LSTM', [6, 3], [l.lstm({ units: 4, recurrentActivation: 'sigmoid', ...spec })]],
    [
      'an LSTM of sequences, backwards',
      [6, 3],
      [l.lstm({ units: 4, returnSequences: true, goBackwards: true, ...spec })],
    ],
    [
      'a bidirectional GRU',
      [6, 3],
      [
        l.bidirectional({
          layer: l.gru({ units: 4, returnSequences: true, ...spec }),
          mergeMode: 'sum',
        }),
      ],
    ],
    [
      'a bidirectional LSTM',
      [6, 3],
      [l.bidirectional({ layer: l.lstm({ units: 4, ...spec }), mergeMode: 'concat' })],
    ],
    [
      'a layer at every step',
      [4, 5, 5, 2],
      [l.timeDistributed({ layer: l.conv2d({ filters: 2, kernelSize: 2 }) })],
    ],
  ])('computes %s as TensorFlow.js does', async (_, shape, parts) => {
    const model = randomized(sequential(shape, ...parts));

    expect(await disagreements(child, model)).toEqual([]);
  });

  it.each([
    ...['elu', 'hardSigmoid', 'linear', 'relu', 'relu6', 'selu', 'sigmoid', 'softmax', 'softplus'],
    ...['softsign', 'tanh', 'swish', 'mish', 'gelu', 'gelu_new'],
  ])('computes the activation %s as TensorFlow.js does', async (activation) => {
    const model = randomized(sequential([4], l.dense({ units: 3, activation: activation as any })));

    expect(await disagreements(child, model)).toEqual([]);
  });

  it.each(['add', 'multiply', 'average', 'maximum', 'minimum', 'concatenate'] as const)(
    'joins branches with %s as TensorFlow.js does',
    async (kind) => {
      const input = layers.input({ shape: [6, 5, 2] });
      const branches = [3, 3, 1].map(
        (kernelSize) =>
          l
            .conv2d({ filters: 4, kernelSize, padding: 'same' })
            .apply(input) as layers.SymbolicTensor,
      );
      const joined = l[kind]().apply(branches) as layers.SymbolicTensor;
      const model = randomized(layers.model({ inputs: input, outputs: joined }));

      expect(await disagreements(child, model)).toEqual([]);
    },
  );

  it('does not fold a batch norm into a convolution that others use', async () => {
    const input = layers.input({ shape: [5, 5, 2] });
    const image = l.conv2d({ filters: 3, kernelSize: 2 }).apply(input) as layers.SymbolicTensor;
    const norm = l.batchNormalization().apply(image) as layers.SymbolicTensor;
    const idle = l.dropout({ rate: 0.1 }).apply(image) as layers.SymbolicTensor;
    const other = l.batchNormalization().apply(idle) as layers.SymbolicTensor;
    const model = randomized(layers.model({ inputs: input, outputs: [image, norm, other] }));

    expect(await disagreements(child, model)).toEqual([]);
  });

  it('compiles a shared layer and a shared model once for each use', async () => {
    const [one, two] = [layers.input({ shape: [4] }), layers.input({ shape: [4] })];
    const inner = layers.sequential({
      layers: [l.dense({ units: 3, inputShape: [4] }), l.batchNormalization()],
    });
    const dense = l.dense({ units: 4, activation: 'tanh' });
    const ends = [one, two].map(
      (input) => inner.apply(dense.apply(input) as layers.SymbolicTensor) as layers.SymbolicTensor,
    );
    const joined = l.concatenate().apply(ends) as layers.SymbolicTensor;
    const model = randomized(layers.model({ inputs: [one, two], outputs: joined }));

    expect(await disagreements(child, model)).toEqual([]);
  });

  it.each(['forwards', 'backwards', 'bidirectional'])(
    'leaves masked steps out wherever they are, %s',
    async (way) => {
      const cell = l.lstm({
        units: 3,
        returnSequences: true,
        goBackwards: way === 'backwards',
        ...spec,
      });
      const first =
        way === 'bidirectional' ? l.bidirectional({ layer: cell, mergeMode: 'concat' }) : cell;
      const last = l.gru({ units: 2, ...spec });
      const model = randomized(
        sequential([7], l.embedding({ inputDim: 4, outputDim: 3, maskZero: true }), first, last),
      );
      // About a quarter of the steps are masked; the first row of three is masked as a whole.
      const tokens = (shape: number[], seed: number): tf.Tensor => {
        const drawn = tf.floor(tf.randomUniform(shape, 0, 4, 'float32', seed));
        return shape[0] === 3 ? tf.mul(drawn, tf.tensor2d([[0], [1], [1]])) : drawn;
      };

      expect(await disagreements(child, model, tokens)).toEqual([]);
    },
  );

  it('masks steps whose features all have the value that means nothing', async () => {
    const model = randomized(
      sequential([5, 2], l.masking({ maskValue: 1 }), l.simpleRNN({ units: 3, ...spec })),
    );
    const steps = (shape: number[], seed: number): tf.Tensor =>
      tf.round(tf.randomUniform(shape, 0, 2, 'float32', seed));

    expect(await disagreements(child, model, steps)).toEqual([]);
  });

  it('names a layer that it has no form for', async () => {
    const input = layers.input({ shape: [3, 2] });
    const dot = l.dot({ axes: 1 }).apply([input, input]) as layers.SymbolicTensor;
    const files = await filesOf(layers.model({ inputs: input, outputs: dot }));

    await expect(compiled(files)).rejects.toThrow(NotCompiledError);
    await expect(compiled(files)).rejects.toThrow('Layer Dot is not compiled');
  });
});
