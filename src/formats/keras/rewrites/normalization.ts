import {
  asMutable,
  classOf,
  type LayerDraft,
  replaceClass,
  type Rewriting,
  titleOf,
} from '../topology-json';
import { NORMALIZATION_EPSILON } from '../variance-floor';

/**
 * TensorFlow.js has no Normalization. Its arithmetic is that of a BatchNormalization without gamma
 * and beta, as long as each element of the last axis has its own mean and variance.
 */
export function rewriteNormalization(layer: LayerDraft, notes: Rewriting): void {
  if (classOf(layer) !== 'Normalization') return;
  const { config, json } = layer;
  const fault = faultOf(layer);
  if (fault !== null) {
    notes.faults.add(`${layer.path}.config`, `${titleOf(layer)} ${fault}`);
    return;
  }
  replaceClass(layer, 'BatchNormalization', notes);
  const kept = Object.entries(config).filter(([key]) => /^(?:name|batch_input_shape)$/.test(key));
  for (const key of Object.keys(config)) Reflect.deleteProperty(config, key);
  Object.assign(config, Object.fromEntries(kept), {
    trainable: false,
    dtype: 'float32',
    axis: -1,
    momentum: 0.99,
    epsilon: NORMALIZATION_EPSILON,
    center: false,
    scale: false,
  });
  delete json['build_config'];
}

function faultOf({ config, json }: LayerDraft): string | null {
  if (config['invert'] === true)
    return 'inverts a normalisation, which TensorFlow.js cannot compute';
  if ((config['mean'] ?? null) !== null || (config['variance'] ?? null) !== null) {
    return 'normalises by constants in its configuration; adapt it to data instead, so that they become weights';
  }
  const shape = asMutable(json['build_config'])?.['input_shape'];
  const last = Array.isArray(shape) ? shape.length - 1 : -1;
  const axes = [config['axis']].flat();
  if (axes.length === 1 && (axes[0] === -1 || (last > 0 && axes[0] === last))) return null;
  return 'normalises along other axes than the last, which TensorFlow.js cannot compute';
}
