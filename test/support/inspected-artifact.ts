import { type Fault, InvalidInputError } from '../../src/common/errors';
import { type InspectedFile, type Inspection } from '../../src/formats/artifact-format';
import {
  inspectArtifact,
  type InspectOptions,
  wantsContent,
} from '../../src/formats/inspect-artifact';

/** JSON that tests take apart and put together again. */
export type Json = any;

export type Files = ReadonlyMap<string, Uint8Array>;

/** Files as the inspection is given them: only descriptions come with their content. */
export function inspected(files: Files): InspectedFile[] {
  return [...files].map(([path, content]) => ({
    path,
    bytes: content.length,
    ...(wantsContent(path) ? { content } : {}),
  }));
}

export function inspectFiles(files: Files, options?: InspectOptions): Inspection {
  return inspectArtifact(inspected(files), options);
}

/** The refusal of an artifact; a test fails when it is accepted. */
export function refusalOf(files: Files, options?: InspectOptions): InvalidInputError {
  try {
    inspectFiles(files, options);
  } catch (error) {
    if (error instanceof InvalidInputError) return error;
    throw error;
  }
  throw new RangeError('The artifact was accepted');
}

/** The faults of a refused artifact as `path: message`. */
export function faultsOf(files: Files, options?: InspectOptions): string[] {
  const { faults } = refusalOf(files, options).details as { faults: readonly Fault[] };
  return faults.map(({ path, message }) => `${path}: ${message}`);
}

export function jsonOf(files: Files): Json {
  return JSON.parse(new TextDecoder().decode(files.get('model.json')));
}

/** The same artifact with another `model.json`, given as JSON or as raw text. */
export function withJson(files: Files, json: Json): Files {
  const text = typeof json === 'string' ? json : JSON.stringify(json);
  return new Map([...files, ['model.json', new TextEncoder().encode(text)]]);
}

/** The same artifact after an edit of its `model.json`. */
export function edited(files: Files, edit: (json: Json) => void): Files {
  const json = jsonOf(files);
  edit(json);
  return withJson(files, json);
}

export interface TinyLayer {
  readonly className: string;
  readonly config: Record<string, unknown>;
}

export interface TinyWeight {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A Sequential model with float32 weights, all zero. */
export function aSequential(layers: readonly TinyLayer[], weights: readonly TinyWeight[]): Files {
  const elements = weights
    .map(({ shape }) => shape.reduce((product, size) => product * size, 1))
    .reduce((sum, count) => sum + count, 0);
  const json = {
    format: 'layers-model',
    modelTopology: {
      keras_version: '2.15.0',
      model_config: {
        class_name: 'Sequential',
        config: {
          name: 'tiny',
          layers: layers.map(({ className, config }) => ({ class_name: className, config })),
        },
      },
    },
    weightsManifest: [
      { paths: ['w.bin'], weights: weights.map((weight) => ({ ...weight, dtype: 'float32' })) },
    ],
  };
  return new Map([
    ['model.json', new TextEncoder().encode(JSON.stringify(json))],
    ['w.bin', new Uint8Array(elements * 4)],
  ]);
}

/** Two dense layers, 4 numbers in, 2 out. */
export function aDenseModel(): Files {
  return aSequential(
    [
      { className: 'Dense', config: { name: 'a', units: 3, batch_input_shape: [null, 4] } },
      { className: 'Dense', config: { name: 'b', units: 2 } },
    ],
    [
      { name: 'a/kernel', shape: [4, 3] },
      { name: 'a/bias', shape: [3] },
      { name: 'b/kernel', shape: [3, 2] },
      { name: 'b/bias', shape: [2] },
    ],
  );
}

/** A functional model of two inputs, `x` and `y`, that are added and go through one dense layer. */
export function aFunctional(): Files {
  const base = new Map([...aDenseModel(), ['w.bin', new Uint8Array(15 * 4)]]);
  const input = (name: string): object => ({
    class_name: 'InputLayer',
    name,
    config: { name, batch_input_shape: [null, 4], dtype: 'float32' },
    inbound_nodes: [],
  });
  return edited(base, (json) => {
    json.modelTopology.model_config = {
      class_name: 'Functional',
      config: {
        name: 'two',
        layers: [
          input('x'),
          input('y'),
          {
            class_name: 'Add',
            name: 'sum',
            config: { name: 'sum' },
            inbound_nodes: [
              [
                ['x', 0, 0, {}],
                ['y', 0, 0, {}],
              ],
            ],
          },
          {
            class_name: 'Dense',
            name: 'a',
            config: { name: 'a', units: 3 },
            inbound_nodes: [[['sum', 0, 0, {}]]],
          },
        ],
        input_layers: [
          ['x', 0, 0],
          ['y', 0, 0],
        ],
        output_layers: [['a', 0, 0]],
      },
    };
    json.weightsManifest[0].weights = json.weightsManifest[0].weights.slice(0, 2);
  });
}
