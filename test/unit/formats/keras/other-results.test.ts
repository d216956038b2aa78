import { FaultLog } from '../../../../src/formats/fault-log';
import { type JsonObject } from '../../../../src/formats/json-value';
import { readKerasModel } from '../../../../src/formats/keras-model';
import { refuseInnerAxes } from '../../../../src/formats/keras/flow/refuse-inner-axes';
import { refuseLostMasks } from '../../../../src/formats/keras/flow/refuse-lost-masks';
import { rewriteTopology } from '../../../../src/formats/keras/rewrite-topology';
import { namesByPlace } from '../../../../src/formats/keras/weight-names';

type Json = Record<string, unknown>;

function layer(className: string, config: Json = {}, calls?: readonly unknown[]): Json {
  const name = typeof config['name'] === 'string' ? config['name'] : className.toLowerCase();
  const inbound = calls ? { inbound_nodes: calls } : {};
  return { class_name: className, name, config: { trainable: true, ...config, name }, ...inbound };
}

function sequential(layers: readonly Json[], name = 'm'): Json {
  return layer('Sequential', { name, layers });
}

function functional(layers: readonly Json[], inputs: unknown, outputs: unknown, name = 'm'): Json {
  return layer('Functional', { name, layers, input_layers: inputs, output_layers: outputs });
}

function input(shape: readonly (number | null)[], name = 'x'): Json {
  return layer('InputLayer', { name, batch_input_shape: [null, ...shape] }, []);
}

/** A call in the form of Keras 3. */
function call3(name: string, index = 0, kwargs: Json = {}): Json {
  const config = { shape: [null, 5], dtype: 'float32', keras_history: [name, index, 0] };
  return { args: [{ class_name: '__keras_tensor__', config }], kwargs };
}

function rewrite(
  model: Json,
  version: string,
): { topology: JsonObject; faults: readonly string[] } {
  const log = new FaultLog();
  const original = { keras_version: version, model_config: model };
  const { topology, masked } = rewriteTopology(original, 'm', log);
  const read = readKerasModel(topology, 'm', log);
  if (read) {
    refuseLostMasks(read, masked, log);
    refuseInnerAxes(read, log);
  }
  try {
    log.throwIfAny();
    return { topology, faults: [] };
  } catch (error) {
    const { details } = error as { details: { faults: { message: string }[] } };
    return { topology, faults: details.faults.map(({ message }) => message) };
  }
}

function faultsOf(model: Json, version = '2.15.0'): readonly string[] {
  return rewrite(model, version).faults;
}

const embedding = layer('Embedding', { input_dim: 9, output_dim: 4, mask_zero: true });
const lstm = layer('LSTM', { units: 2 });
const sequences = layer('LSTM', { name: 'seq', units: 2, return_sequences: true });
const conv = layer('Conv1D', { filters: 4, kernel_size: 2 });
const average = layer('GlobalAveragePooling1D');
const bidirectional = (inner: Json): Json => layer('Bidirectional', { layer: inner });

describe('a mask of Keras', () => {
  const tokens = input([6]);

  it.each([
    ['an average over steps', [tokens, embedding, average], /GlobalAveragePooling1D.*average/],
    ['an average after a Masking', [input([4, 3]), layer('Masking'), average], /of the average/],
    ['a recurrence behind a convolution', [tokens, embedding, conv, lstm], /"lstm" \(LSTM\) looks/],
    [
      'sequences in both directions',
      [tokens, embedding, bidirectional(sequences)],
      /"bidirectional" \(Bidirectional\) answers zeros/,
    ],
    [
      'zero_output_for_mask',
      [tokens, embedding, layer('LSTM', { units: 2, zero_output_for_mask: true })],
      /answers zeros/,
    ],
    [
      'a convolution over sequences in both directions',
      [tokens, embedding, bidirectional(sequences), conv, layer('GlobalMaxPooling1D')],
      /answers zeros/,
    ],
    ['a Softmax', [tokens, embedding, layer('Softmax')], /\(Softmax\) looks at a mask/],
    [
      'a recurrence inside TimeDistributed',
      [tokens, embedding, layer('TimeDistributed', { layer: lstm })],
      /hands a mask to the layer inside/,
    ],
    [
      'several cells',
      [
        tokens,
        embedding,
        layer('RNN', {
          cell: layer('StackedRNNCells', { cells: [layer('LSTMCell', { units: 2 })] }),
        }),
      ],
      /several cells/,
    ],
    ['a model inside the model', [tokens, embedding, sequential([lstm], 'inner')], /other layers/],
  ])('is refused where TensorFlow.js computes otherwise with it: %s', (_, layers, fault) => {
    const faults = faultsOf(sequential(layers));

    expect(faults).toEqual([expect.stringMatching(fault)]);
    expect(faults[0]).toContain('model.export');
  });

  it.each([
    ['a recurrence', [tokens, embedding, layer('Dense', { units: 3 }), sequences, lstm]],
    ['a recurrence in both directions', [tokens, embedding, bidirectional(lstm)]],
    [
      'steps one by one',
      [
        tokens,
        embedding,
        layer('TimeDistributed', {
          layer: layer('Dense', { units: 3 }),
        }),
        lstm,
      ],
    ],
    [
      'a recurrence behind one in both directions',
      [tokens, embedding, bidirectional(sequences), layer('LayerNormalization'), lstm],
    ],
    ['nothing that looks at it', [tokens, embedding, conv, layer('GlobalMaxPooling1D')]],
    [
      'an average behind a recurrence',
      [tokens, embedding, lstm, layer('RepeatVector', { n: 3 }), average],
    ],
  ])('is computed for %s', (_, layers) => {
    expect(faultsOf(sequential(layers))).toEqual([]);
  });

  it('is refused along the calls of a functional model', () => {
    const at = (name: string): unknown[] => [[[name, 0, 0, {}]]];
    const layers = [
      tokens,
      { ...embedding, inbound_nodes: at('x') },
      { ...conv, inbound_nodes: at('embedding') },
      { ...lstm, inbound_nodes: at('conv1d') },
    ];

    expect(faultsOf(functional(layers, [['x', 0, 0]], [['lstm', 0, 0]]))).toEqual([
      expect.stringContaining('"lstm" (LSTM) looks at a mask that comes through other layers'),
    ]);
  });
});

describe('a BatchNormalization', () => {
  const flat = layer('Flatten');

  it.each([
    ['the axis before the last', [input([4, 5]), layer('BatchNormalization', { axis: [1] })]],
    ['a negative axis', [input([4, 5]), layer('BatchNormalization', { axis: -2 })]],
    [
      'the channels in front',
      [
        input([2, 8, 8]),
        layer('Conv2D', { filters: 3, kernel_size: 3, data_format: 'channels_first' }),
        layer('BatchNormalization', { axis: 1 }),
      ],
    ],
    [
      'an axis inside TimeDistributed',
      [
        input([3, 4, 5]),
        layer('TimeDistributed', { layer: layer('BatchNormalization', { axis: [1] }) }),
      ],
    ],
  ])('is refused along %s', (_, layers) => {
    expect(faultsOf(sequential(layers))).toEqual([
      expect.stringMatching(/\(BatchNormalization\) normalises along another axis.*model\.export/),
    ]);
  });

  it.each([
    ['the last axis of rows', [input([4, 5]), flat, layer('BatchNormalization', { axis: [1] })]],
    ['the last axis of images', [input([4, 5, 2]), layer('BatchNormalization', { axis: [3] })]],
    [
      'the last axis of a sequence',
      [input([6]), embedding, sequences, layer('BatchNormalization', { axis: 2 })],
    ],
    ['-1', [input([4, 5]), layer('BatchNormalization', { axis: -1 })]],
    [
      'an axis of an inner model',
      [input([4, 5]), sequential([flat, layer('BatchNormalization', { axis: [1] })], 'inner')],
    ],
  ])('is computed along %s', (_, layers) => {
    expect(faultsOf(sequential(layers))).toEqual([]);
  });
});

describe('a layer that TensorFlow.js computes otherwise', () => {
  const kernel = { filters: 3, kernel_size: [3, 3] };
  const image = input([8, 8, 2]);

  it.each([
    ['DepthwiseConv2D', { kernel_size: [3, 3], dilation_rate: [2, 2] }, /is dilated/],
    ['Conv2DTranspose', { ...kernel, dilation_rate: [1, 2] }, /is dilated/],
    [
      'Conv2DTranspose',
      { ...kernel, strides: [2, 2], padding: 'same', output_padding: [0, 0] },
      /output_padding/,
    ],
    ['Conv3DTranspose', { filters: 3, kernel_size: 3 }, /Conv3DTranspose.*wrongly/],
    ['CenterCrop', { height: 4, width: 4 }, /cuts out the centre/],
    ['CategoryEncoding', { num_tokens: 4 }, /encodes categories/],
  ])('is refused with the way out: %s', (className, config, fault) => {
    const faults = faultsOf(sequential([image, layer(className, config)]));

    expect(faults).toEqual([expect.stringMatching(fault)]);
    expect(faults[0]).toContain('model.export');
  });

  it.each([
    [
      'output_padding that is the usual one',
      { strides: [2, 2], padding: 'same', output_padding: [1, 1] },
    ],
    [
      'no output_padding',
      { strides: [2, 2], padding: 'same', output_padding: null, dilation_rate: [1, 1] },
    ],
  ])('does not include a Conv2DTranspose with %s', (_, config) => {
    expect(
      faultsOf(sequential([image, layer('Conv2DTranspose', { ...kernel, ...config })])),
    ).toEqual([]);
  });

  it.each([
    ['training', { training: true }, /"d" \(Dropout\) is called with training=True/],
    ['mask', { mask: ['x', 0, 0] }, /"d" \(Dropout\) is given a tensor as "mask"/],
  ])('is refused by the arguments of its calls in Keras 2: %s', (_, kwargs, fault) => {
    const dropout = layer('Dropout', { name: 'd', rate: 0.5 }, [[['x', 0, 0, kwargs]]]);
    const model = functional([image, dropout], [['x', 0, 0]], [['d', 0, 0]]);

    expect(faultsOf(model)).toEqual([expect.stringMatching(fault)]);
  });

  it('is called with training=True in Keras 3, which does not keep to it either', () => {
    const dropout = layer('Dropout', { name: 'd', rate: 0.5 }, [call3('x', 0, { training: true })]);

    expect(faultsOf(functional([image, dropout], ['x', 0, 0], ['d', 0, 0]), '3.15.0')).toEqual([]);
  });
});

describe('a model inside a model of Keras 3', () => {
  const dense = layer('Dense', { name: 'd', units: 3 });
  const a = input([5], 'a');
  const b = input([5], 'b');

  function ends(tower: Json, output: unknown): unknown {
    const called = { ...tower, inbound_nodes: [call3('a'), call3('b')] };
    const last = layer('Dense', { name: 'z', units: 2 }, [call3('tower', 1)]);
    const model = functional(
      [a, b, called, last],
      [
        ['a', 0, 0],
        ['b', 0, 0],
      ],
      [output, ['z', 0, 0]],
    );
    const { topology, faults } = rewrite(model, '3.15.0');
    expect(faults).toEqual([]);
    const { config } = topology['model_config'] as { config: { output_layers: unknown[] } };
    return config.output_layers[0];
  }

  it('keeps the number of its call among the outputs when it is functional', () => {
    const inner = { ...dense, inbound_nodes: [call3('i')] };
    const tower = functional([input([5], 'i'), inner], ['i', 0, 0], ['d', 0, 0], 'tower');

    expect(ends(tower, ['tower', 1, 0])).toEqual(['tower', 1, 0]);
  });

  it('is counted from one on among the outputs when it is sequential', () => {
    expect(ends(sequential([dense], 'tower'), ['tower', 0, 0])).toEqual(['tower', 1, 0]);
  });

  it('has its weights found and its layers rewritten inside a TimeDistributed', () => {
    const start = layer('InputLayer', { name: 'i', batch_shape: [null, 4] });
    const inner = sequential([start, dense, layer('BatchNormalization', { axis: 1 })], 's');
    const wrapped = layer('TimeDistributed', { layer: inner });
    const { topology, faults } = rewrite(sequential([input([3, 4]), wrapped]), '3.15.0');
    const log = new FaultLog();
    const model = readKerasModel(topology, 'm', log);

    const named = namesByPlace(
      model!,
      'layers',
      ({ className }) => className,
      (path) => (path.includes('dense') ? 2 : 4),
      log,
    );

    expect([faults, log.size]).toEqual([[], 0]);
    expect(JSON.stringify(topology)).not.toContain('"batch_shape"');
    expect(named.slice(0, 3).map(({ source, name }) => ({ source, name }))).toEqual([
      { source: 'layers/time_distributed/layer/layers/dense/vars/0', name: 'd/kernel' },
      { source: 'layers/time_distributed/layer/layers/dense/vars/1', name: 'd/bias' },
      {
        source: 'layers/time_distributed/layer/layers/batch_normalization/vars/0',
        name: 'batchnormalization/gamma',
      },
    ]);
  });
});
