import { CONVERT_TO_GRAPH } from '../../../src/formats/graph-form';
import {
  aDenseModel,
  aFunctional,
  aSequential,
  edited,
  faultsOf,
  type Files,
  inspectFiles,
  type Json,
} from '../../support/inspected-artifact';

const LAYERS = 'model.json: modelTopology.model_config.config.layers';

function config(json: Json): Json {
  return json.modelTopology.model_config.config;
}

function dense(edit: (layer: Json) => void): Files {
  return edited(aDenseModel(), (json) => {
    edit(config(json).layers[1]);
  });
}

function functional(edit: (model: Json) => void): Files {
  return edited(aFunctional(), (json) => {
    edit(config(json));
  });
}

describe('inspectArtifact with layers', () => {
  it.each([
    ['a Sequential model', aDenseModel(), ['a_input']],
    ['a functional model', aFunctional(), ['x', 'y']],
  ])('accepts %s', (_, files, inputs) => {
    expect(inspectFiles(files).signature.inputs.map(({ name }) => name)).toEqual(inputs);
  });

  it.each(['CustomAttention', 'constructor', '__proto__', 'Adam', 'GlorotUniform', 'toString'])(
    'refuses a layer of class %s, by class and name (60)',
    (className) => {
      const files = dense((layer) => (layer.class_name = className));

      expect(faultsOf(files)).toEqual([
        `${LAYERS}[1]: the layer "b" is of class "${className}", which TensorFlow.js does not have. ${CONVERT_TO_GRAPH}`,
      ]);
    },
  );

  it('refuses a Lambda and says why (60)', () => {
    const [fault] = faultsOf(dense((layer) => (layer.class_name = 'Lambda')));

    expect(fault).toContain('the layer "b" is a Lambda: its Python code cannot run here');
  });

  it('is not deceived by a second spelling of a key (60)', () => {
    const [fault] = faultsOf(dense((layer) => (layer.className = 'Lambda')));

    expect(fault).toContain('is a Lambda');
  });

  it('looks into wrappers and inner models (60)', () => {
    const inner = { class_name: 'Evil', config: { name: 'evil' } };
    const files = dense((layer) => {
      layer.class_name = 'TimeDistributed';
      layer.config = { name: 'b', layer: inner };
    });
    const nested = dense((layer) => {
      layer.class_name = 'Sequential';
      layer.config = { name: 'b', layers: [inner] };
    });

    expect(faultsOf(files)[0]).toContain(`${LAYERS}[1].config.layer: the layer "evil"`);
    expect(faultsOf(nested)[0]).toContain(`${LAYERS}[1].config.layers[0]: the layer "evil"`);
  });

  it.each([
    [
      'units that the weights do not have',
      (layer: Json) => (layer.config.units = 3e8),
      'needs [?, 300000000]',
    ],
    [
      'a kernel of another rank',
      (layer: Json) => {
        layer.class_name = 'Conv1D';
        Object.assign(layer.config, { filters: 2, kernel_size: [300_000_000] });
      },
      'needs [300000000, ?, 2]',
    ],
  ])('refuses %s before anything is allocated (57)', (_, edit, sentence) => {
    const faults = faultsOf(dense(edit));

    expect(faults[0]).toMatch(
      /^model\.json: weightsManifest\[0\]\.weights\[2\]\.shape: is \[3, 2\]/,
    );
    expect(faults[0]).toContain(sentence);
  });

  it('adds parameters up where weights are only numbered (57)', () => {
    const numbered = (units: number): Files =>
      aSequential(
        [{ className: 'Dense', config: { name: 'a', units, batch_input_shape: [null, 4] } }],
        [
          { name: 'a/0', shape: [4, 3] },
          { name: 'a/1', shape: [3] },
        ],
      );

    expect(inspectFiles(numbered(3)).format).toBe('tfjs-layers');
    expect(faultsOf(numbered(3e8))).toEqual([
      'model.json: weightsManifest: the layers need at least 600000000 parameters, and there are 15',
    ]);
  });

  it.each([3.5, -1, 0, '3', null, 1e300])('refuses %p units (57)', (units) => {
    const faults = faultsOf(dense((layer) => (layer.config.units = units)));

    expect(faults).toContain(`${LAYERS}[1].config.units: a positive whole number was expected`);
  });

  it('refuses an input of which one row would fill the memory (57)', () => {
    const files = edited(aDenseModel(), (json) => {
      config(json).layers[0].config.batch_input_shape = [null, 1e5, 1e5];
    });

    expect(faultsOf(files)[0]).toContain('one row would have more than');
  });

  it('refuses layers without their weights (58)', () => {
    const files = edited(new Map([...aDenseModel()].slice(0, 1)), (json) => {
      json.weightsManifest = [];
    });

    expect(faultsOf(files)).toEqual([
      'model.json: weightsManifest: the layers need weights, and there are none; they would start at random',
    ]);
  });

  it('names weights that are missing and weights that belong to no layer', () => {
    const files = edited(aDenseModel(), (json) => {
      json.weightsManifest[0].weights[0].name = 'model/a/kernel_of';
    });

    expect(faultsOf(files)).toEqual([
      'model.json: weightsManifest[0].weights[0].name: no layer has a weight "model/a/kernel_of"',
      'model.json: weightsManifest: there is no weight "a/kernel" for the layer "a" (Dense)',
    ]);
  });

  it('passes over the state of an optimizer', () => {
    const files = edited(new Map([...aDenseModel(), ['w.bin', new Uint8Array(96)]]), (json) => {
      const state = { name: 'iter', shape: [], dtype: 'int32', group: 'optimizer' };
      json.weightsManifest[0].weights.push(state);
    });

    expect(inspectFiles(files).format).toBe('tfjs-layers');
  });

  it.each(['', '__proto__', 'constructor', 'a\u0000b', 7])(
    'refuses a layer called %p (45)',
    (name) => {
      const files = dense((layer) => (layer.config.name = name));

      expect(faultsOf(files)[0]).toContain(`${LAYERS}[1].config.name: `);
    },
  );

  it('refuses two layers of one name (45)', () => {
    expect(faultsOf(dense((layer) => (layer.config.name = 'a')))).toContain(
      `${LAYERS}[1]: two layers are called "a"`,
    );
  });

  it.each([
    [
      'a call of a layer that is not there',
      (model: Json) => (model.layers[3].inbound_nodes = [[['z', 0, 0, {}]]]),
      'there is no layer "z"',
    ],
    [
      'a call number that is not there',
      (model: Json) => (model.layers[3].inbound_nodes = [[['sum', 1, 0, {}]]]),
      'the layer "sum" has no call number 1',
    ],
    [
      'layers that feed each other',
      (model: Json) => (model.layers[2].inbound_nodes[0][1] = ['a', 0, 0, {}]),
      'layers feed each other: ',
    ],
    [
      'a layer that feeds itself',
      (model: Json) => (model.layers[3].inbound_nodes = [[['a', 0, 0, {}]]]),
      'layers feed each other: "a"',
    ],
    [
      'an output that is not there',
      (model: Json) => (model.output_layers = [['z', 0, 0]]),
      'there is no layer "z"',
    ],
    [
      'an input that is no InputLayer',
      (model: Json) => (model.input_layers[0] = ['sum', 0, 0]),
      'is an input, but no InputLayer',
    ],
    [
      'an InputLayer that nobody lists',
      (model: Json) => model.input_layers.pop(),
      'not among input_layers',
    ],
    [
      'one output twice',
      (model: Json) => model.output_layers.push(['a', 0, 0]),
      'the layer "a" stands there twice',
    ],
    [
      'no outputs',
      (model: Json) => (model.output_layers = []),
      'a list of [layer, node, tensor] was expected',
    ],
    [
      'two names for one layer',
      (model: Json) => (model.layers[3].name = 'other'),
      'the layer is called "a" in its config, and otherwise here',
    ],
  ])('refuses %s, which would keep the library trying (54)', (_, edit, sentence) => {
    expect(faultsOf(functional(edit)).join('\n')).toContain(sentence);
  });

  it('refuses a first layer that does not say what it takes', () => {
    const files = edited(aDenseModel(), (json) => {
      delete config(json).layers[0].config.batch_input_shape;
    });

    expect(faultsOf(files)).toContain(
      `${LAYERS}[0].config: the first layer of a Sequential model must have batch_input_shape or input_shape`,
    );
  });

  it('refuses an input of a type without plain form', () => {
    const files = functional((model) => (model.layers[0].config.dtype = 'complex64'));

    expect(faultsOf(files)[0]).toContain(`${LAYERS}[0].config.dtype: `);
  });

  it('refuses layers within layers that would multiply without end (56)', () => {
    let layer: Json = { class_name: 'LSTM', config: { name: 'l', units: 1 } };
    for (let level = 0; level < 60; level++) {
      layer = { class_name: 'Bidirectional', config: { name: 'b', layer } };
    }
    const files = edited(aDenseModel(), (json) => (config(json).layers[1] = layer));

    expect(faultsOf(files).at(-1)).toContain('a Bidirectional cannot hold a layer of class');
  });

  it('takes hundreds of thousands of anything without running out of stack (52)', () => {
    const many = Array.from({ length: 400_000 }, () => []);

    const calls = functional((model) => (model.layers[3].inbound_nodes = [many]));
    const extra = edited(aDenseModel(), (json) => (json.modelTopology.extra = many));
    const weights = edited(aDenseModel(), (json) => (json.weightsManifest[0].weights = many));

    expect(faultsOf(calls)).toHaveLength(100);
    expect(inspectFiles(extra).format).toBe('tfjs-layers');
    expect(faultsOf(weights)).toHaveLength(100);
  });
});
