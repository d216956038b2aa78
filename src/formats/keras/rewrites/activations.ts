import { CONVERT_TO_GRAPH } from '../../graph-form';
import { quoted } from '../../fault-log';
import { type LayerDraft, type Rewriting, titleOf } from '../topology-json';

/** Activations that TensorFlow.js computes as Keras does, under their names in Keras. */
const KNOWN = new Set([
  'elu',
  'gelu',
  'linear',
  'log_softmax',
  'mish',
  'relu',
  'relu6',
  'selu',
  'sigmoid',
  'softmax',
  'softplus',
  'softsign',
  'swish',
  'tanh',
]);

const KEYS = ['activation', 'recurrent_activation'];

/** Brings activations to the names of TensorFlow.js, and refuses those it would compute otherwise. */
export function rewriteActivations(layer: LayerDraft, { faults, isKeras3 }: Rewriting): void {
  for (const key of KEYS) {
    const value = layer.config[key];
    if (value === undefined || value === null) continue;
    if (value === 'silu') {
      layer.config[key] = 'swish';
      continue;
    }
    const path = `${layer.path}.config.${key}`;
    if (typeof value !== 'string') {
      faults.add(
        path,
        `${titleOf(layer)} has an activation of its own, whose code cannot run here`,
      );
    } else if (value === 'hard_sigmoid') {
      if (!isKeras3) continue;
      faults.add(
        path,
        `${titleOf(layer)} uses hard_sigmoid, which Keras 3 computes otherwise than TensorFlow.js. ${CONVERT_TO_GRAPH}`,
      );
    } else if (!KNOWN.has(value)) {
      faults.add(
        path,
        `${titleOf(layer)} uses the activation ${quoted(value)}, which TensorFlow.js does not have. ${CONVERT_TO_GRAPH}`,
      );
    }
  }
}
