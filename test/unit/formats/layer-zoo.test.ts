import '@tensorflow/tfjs-backend-cpu';
import * as tfl from '@tensorflow/tfjs-layers';

import { type Files, inspectFiles, withJson } from '../../support/inspected-artifact';

type Layer = tfl.layers.Layer;

const { layers } = tfl;
/** The default one needs ops that the split packages of the library do not bring along. */
const recurrent = { recurrentInitializer: 'zeros' } as const;

/** Every class with weights of its own, by itself: what it takes, and how it is made. */
const CLASSES: readonly (readonly [name: string, row: readonly number[], make: () => Layer])[] = [
  ['Dense', [4], () => layers.dense({ units: 3 })],
  ['Dense without bias', [4], () => layers.dense({ units: 3, useBias: false })],
  ['Embedding', [5], () => layers.embedding({ inputDim: 10, outputDim: 3 })],
  ['Conv1D', [8, 2], () => layers.conv1d({ filters: 3, kernelSize: 2 })],
  ['Conv2D', [8, 8, 2], () => layers.conv2d({ filters: 3, kernelSize: [2, 3] })],
  ['Conv3D', [8, 8, 8, 2], () => layers.conv3d({ filters: 3, kernelSize: 2 })],
  ['Conv2DTranspose', [8, 8, 2], () => layers.conv2dTranspose({ filters: 3, kernelSize: 2 })],
  [
    'DepthwiseConv2D',
    [8, 8, 2],
    () => layers.depthwiseConv2d({ kernelSize: 2, depthMultiplier: 2 }),
  ],
  ['SeparableConv2D', [8, 8, 2], () => layers.separableConv2d({ filters: 3, kernelSize: 2 })],
  ['BatchNormalization', [8, 2], () => layers.batchNormalization()],
  [
    'BatchNormalization, plain',
    [4],
    () => layers.batchNormalization({ center: false, scale: false }),
  ],
  ['LayerNormalization', [8, 2], () => layers.layerNormalization()],
  ['PReLU', [8, 2], () => layers.prelu()],
  ['SimpleRNN', [8, 2], () => layers.simpleRNN({ units: 3, ...recurrent })],
  ['GRU', [8, 2], () => layers.gru({ units: 3, ...recurrent })],
  ['LSTM', [8, 2], () => layers.lstm({ units: 3, ...recurrent })],
  ['RNN', [8, 2], () => layers.rnn({ cell: layers.lstmCell({ units: 3, ...recurrent }) })],
  [
    'ConvLSTM2D',
    [3, 8, 8, 2],
    () => layers.convLstm2d({ filters: 3, kernelSize: 2, ...recurrent }),
  ],
  ['TimeDistributed', [8, 2], () => layers.timeDistributed({ layer: layers.dense({ units: 3 }) })],
  [
    'Bidirectional',
    [8, 2],
    () =>
      layers.bidirectional({
        layer: layers.gru({ units: 3, ...recurrent }),
        mergeMode: 'concat',
      }),
  ],
  ['Flatten', [8, 2], () => layers.flatten()],
];

describe('inspectArtifact with every layer that has weights', () => {
  it.each(CLASSES)('accepts %s as TensorFlow.js saves it', (_, row, make) => {
    const layer = make();
    const input = tfl.input({ shape: [...row] });
    const model = tfl.model({ inputs: input, outputs: layer.apply(input) as tfl.SymbolicTensor });

    const inspection = inspectFiles(saved(model));

    expect(inspection.signature.inputs[0]!.shape).toEqual([-1, ...row]);
    expect(inspection.signature.outputs.map(({ name }) => name)).toEqual([layer.name]);
  });

  it('accepts layers called twice, models inside models, and many outputs', () => {
    const inner = tfl.sequential({
      name: 'inner',
      layers: [layers.dense({ units: 3, inputShape: [4], name: 'inner_dense' })],
    });
    const shared = layers.dense({ units: 4, name: 'shared' });
    const [a, b] = [tfl.input({ shape: [4], name: 'a' }), tfl.input({ shape: [4], name: 'b' })];
    const apply = (layer: Layer, to: tfl.SymbolicTensor | tfl.SymbolicTensor[]) =>
      layer.apply(to) as tfl.SymbolicTensor;
    const sum = apply(layers.add({ name: 'sum' }), [apply(shared, a), apply(shared, b)]);
    const model = tfl.model({
      inputs: [b, a],
      outputs: [apply(inner, sum), apply(layers.reLU({ name: 'relu' }), apply(inner, a))],
    });

    const { signature } = inspectFiles(saved(model));

    expect(signature.inputs.map(({ name }) => name)).toEqual(['b', 'a']);
    expect(signature.outputs.map(({ name }) => name)).toEqual(['inner', 'relu']);
  });

  it.each([
    ['that begins with a layer', [layers.dense({ units: 2, inputShape: [4], name: 'first' })]],
    [
      'that begins with an Embedding of any length',
      [layers.embedding({ inputDim: 5, outputDim: 2, name: 'words' })],
    ],
    [
      'that begins with an InputLayer',
      [layers.inputLayer({ inputShape: [4], name: 'in' }), layers.dense({ units: 2, name: 'out' })],
    ],
    [
      'that is one model',
      [
        tfl.sequential({
          layers: [layers.dense({ units: 2, inputShape: [3], name: 'deep' })],
        }) as Layer,
      ],
    ],
    [
      'that ends with a model',
      [
        layers.dense({ units: 3, inputShape: [4], name: 'before' }),
        tfl.sequential({
          name: 'after',
          layers: [layers.dense({ units: 2, inputShape: [3], name: 'deeper' })],
        }) as Layer,
      ],
    ],
  ])('names inputs and outputs of a Sequential %s as the library does', (_, stack) => {
    const model = tfl.sequential({ layers: stack });

    const { signature } = inspectFiles(saved(model));

    expect(signature.inputs).toEqual(
      model.inputs.map(({ sourceLayer, dtype, shape }) => ({
        name: sourceLayer.name,
        dtype,
        shape: shape.map((size) => size ?? -1),
      })),
    );
    expect(signature.outputs.map(({ name }) => name)).toEqual(
      model.outputs.map(({ sourceLayer }) => sourceLayer.name),
    );
  });
});

function saved(model: tfl.LayersModel): Files {
  const weights = model.weights.map(({ originalName, shape }) => ({
    name: originalName,
    shape: shape.map((size) => size ?? 0),
    dtype: 'float32',
  }));
  const elements = weights
    .map(({ shape }) => shape.reduce((product, size) => product * size, 1))
    .reduce((sum, count) => sum + count, 0);
  const json = {
    format: 'layers-model',
    modelTopology: model.toJSON(null, false) as unknown,
    weightsManifest: [{ paths: ['w.bin'], weights }],
  };
  return withJson(new Map([['w.bin', new Uint8Array(elements * 4)]]), json);
}
