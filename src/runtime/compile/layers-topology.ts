import { NotCompiledError } from '../runtime.errors';
import { type LayerJson } from './layer-call';

/** One tensor of a model: an output of one call of one layer. */
export type TensorKey = readonly [layer: string, node: number, tensor: number];

export interface Layer {
  readonly name: string;
  readonly json: LayerJson;
}

/** One use of a layer. */
export interface Call {
  readonly layer: Layer;
  readonly node: number;
  readonly inputs: readonly TensorKey[];
}

/** A model, whether sequential or a graph of layers, as a list of calls. */
export interface Container {
  readonly layers: readonly Layer[];
  readonly calls: readonly Call[];
  readonly inputs: readonly TensorKey[];
  readonly outputs: readonly TensorKey[];
}

/** Models count their own construction as their first node, so that calls of them start at one. */
const CONTAINERS = new Set(['Model', 'Functional', 'Sequential']);

/** @throws NotCompiledError for a topology of a kind that is not known */
export function parseContainer(topology: unknown): Container {
  const json = unwrap(topology);
  const { config } = json;
  const listed = Array.isArray(config) ? (config as unknown[]) : config['layers'];
  if (!Array.isArray(listed)) throw new NotCompiledError(`${json.class_name} has no layers`);
  const layers = (listed as LayerJson[]).map((layer) => ({ name: nameOf(layer), json: layer }));
  return json.class_name === 'Sequential' ? sequential(layers) : functional(layers, config);
}

function unwrap(topology: unknown): LayerJson {
  const found = topology as { readonly model_config?: unknown } & Partial<LayerJson>;
  if (found.model_config !== undefined) return unwrap(found.model_config);
  if (found.class_name !== undefined && found.config !== undefined) return found as LayerJson;
  throw new NotCompiledError('The topology is of no kind that is compiled');
}

function nameOf({ name, config }: LayerJson): string {
  const own = config['name'] ?? name;
  if (typeof own === 'string') return own;
  throw new NotCompiledError('A layer without a name is not compiled');
}

function sequential(given: readonly Layer[]): Container {
  const [first] = given;
  if (!first) throw new NotCompiledError('An empty model is not compiled');
  // Without an input layer, the first one says what comes in.
  const layers = first.json.class_name === 'InputLayer' ? given : [inputFor(first), ...given];
  const [input, ...rest] = layers;
  let current: TensorKey = [input?.name ?? '', 0, 0];
  const start = current;
  const calls = rest.map((layer): Call => {
    const node = CONTAINERS.has(layer.json.class_name) ? 1 : 0;
    const call = { layer, node, inputs: [current] };
    current = [layer.name, node, 0];
    return call;
  });
  return { layers, calls, inputs: [start], outputs: [current] };
}

/** TensorFlow.js names the input that a first layer brings after that layer. */
function inputFor({ name, json }: Layer): Layer {
  const inputName = `${name}_input`;
  return {
    name: inputName,
    json: { class_name: 'InputLayer', config: { ...json.config, name: inputName } },
  };
}

function functional(layers: readonly Layer[], config: LayerJson['config']): Container {
  const calls = layers.flatMap((layer): Call[] => {
    const from = CONTAINERS.has(layer.json.class_name) ? 1 : 0;
    return (layer.json.inbound_nodes ?? []).map((node, index) => ({
      layer,
      node: index + from,
      inputs: tensorKeys(node, layer.name),
    }));
  });
  return {
    layers,
    calls,
    inputs: tensorKeys(config['input_layers'], 'the model'),
    outputs: tensorKeys(config['output_layers'], 'the model'),
  };
}

function tensorKeys(list: unknown, where: string): TensorKey[] {
  if (!Array.isArray(list)) throw new NotCompiledError(`The wiring of ${where} is not known`);
  return (list as unknown[]).map((item): TensorKey => {
    const [layer, node, tensor, options] = Array.isArray(item) ? (item as unknown[]) : [];
    if (typeof layer !== 'string' || typeof node !== 'number' || typeof tensor !== 'number') {
      throw new NotCompiledError(`The wiring of ${where} is not known`);
    }
    if (JSON.stringify(options ?? {}).includes('initial_state')) {
      throw new NotCompiledError(`Initial states of ${where} are not compiled`);
    }
    return [layer, node, tensor];
  });
}
