import { CONVERT_TO_GRAPH } from '../../graph-form';
import { asArray } from '../../json-value';
import { MODEL_CLASSES } from '../../layer-classes';
import {
  classOf,
  type LayerDraft,
  type ModelDraft,
  nameOf,
  type Rewriting,
  titleOf,
} from '../topology-json';
import { type Call, type History, historyOf, readCall } from './keras-tensor';

type Reference = [string, number, number, Record<string, unknown>];

/** Classes that are a layer under the same name, and compute the same from tensors alone. */
const SAME_AS_LAYER = new Set(['Add', 'Multiply', 'Maximum', 'Minimum']);
const RECURRENT = /^(?:RNN|SimpleRNN|GRU|LSTM|ConvLSTM2D|Bidirectional)$/;

/**
 * Brings the calls of a functional model of Keras 3 to the form before it: lists of
 * `[layer, call, tensor, arguments]`.
 *
 * A model inside the model is called from 1 on: call 0 is the one that made it. Arguments of Keras 3
 * no longer count that call; the ends of a model still do, where the inner model is functional.
 */
export function rewriteCalls(model: ModelDraft, notes: Rewriting): void {
  const layers = asArray(model.config['layers']).length === 0 ? [] : model.layers;
  const isNewForm = layers.some(({ json }) => asArray(json['inbound_nodes']).some(readCall));
  if (!isNewForm) return;
  const inner = layers.filter((layer) => MODEL_CLASSES.has(classOf(layer)));
  const renumberArgument = renumberCalls(inner);
  const renumberEnd = renumberCalls(inner.filter((layer) => classOf(layer) === 'Sequential'));
  for (const layer of layers) {
    const nodes = asArray(layer.json['inbound_nodes']);
    layer.json['inbound_nodes'] = nodes.map((node, index) => {
      const call = readCall(node);
      if (!call) return node;
      return references(layer, call, `${layer.path}.inbound_nodes[${index}]`, notes).map(
        ([name, number, tensor, kwargs]): Reference =>
          [...renumberArgument([name, number, tensor]), kwargs] as Reference,
      );
    });
  }
  for (const key of ['input_layers', 'output_layers']) {
    const ends = endsOf(model.config[key]);
    model.config[key] = ends.map(renumberEnd);
  }
}

function renumberCalls(models: readonly LayerDraft[]): (tensor: History) => History {
  const names = new Set(models.map(nameOf));
  return ([layer, call, tensor]) => [layer, names.has(layer) ? call + 1 : call, tensor];
}

/** One end is written without its list by Keras 3; named ends as an object. */
export function rewriteEnds({ config }: ModelDraft): void {
  for (const key of ['input_layers', 'output_layers']) {
    if (config[key] !== undefined) config[key] = endsOf(config[key]);
  }
}

function endsOf(value: unknown): History[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value) && typeof value[0] === 'string') return [value as unknown as History];
  return Object.values(value).flatMap(endsOf);
}

function references(
  layer: LayerDraft,
  call: Call,
  path: string,
  { faults }: Rewriting,
): Reference[] {
  const tensors = [...call.tensors];
  const plain: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(call.kwargs)) {
    if (value === null) continue;
    const states = [value].flat(Infinity).map(historyOf);
    if (states.every((state) => state === null)) plain[key] = value;
    else if (key === 'initial_state' && RECURRENT.test(classOf(layer))) {
      tensors.push(...states.filter((state) => state !== null));
    } else {
      faults.add(
        path,
        `${titleOf(layer)} is given a tensor as ${JSON.stringify(key.slice(0, 80))}, which TensorFlow.js does not take. ${CONVERT_TO_GRAPH}`,
      );
    }
  }
  const isOperation = !('trainable' in layer.config) && !('dtype' in layer.config);
  if (call.constants.length > 0 || (isOperation && !SAME_AS_LAYER.has(classOf(layer)))) {
    faults.add(
      path,
      `${titleOf(layer)} is an operation of keras.ops on tensors and constants, which TensorFlow.js does not have as a layer. Replace it by a layer. ${CONVERT_TO_GRAPH}`,
    );
  }
  return tensors.map((tensor) => [...tensor, plain]);
}
