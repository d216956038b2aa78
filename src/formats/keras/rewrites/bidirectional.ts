import { canonicalJson } from '../../../common/canonical-json';
import {
  asMutable,
  classOf,
  type LayerDraft,
  type MutableJson,
  type Rewriting,
  titleOf,
} from '../topology-json';

/** What may differ between the two directions of one layer. */
const OWN_TO_EACH = new Set(['name', 'go_backwards', 'shared_object_id', 'build_config', 'seed']);

/**
 * Keras 3 writes both directions under their final names; TensorFlow.js takes the forward one under
 * its plain name, and makes the other from it.
 */
export function rewriteBidirectional(layer: LayerDraft, { faults }: Rewriting): void {
  if (classOf(layer) !== 'Bidirectional') return;
  const forward = asMutable(layer.config['layer']);
  const backward = asMutable(layer.config['backward_layer']);
  const config = asMutable(forward?.['config']);
  if (!forward || !config) return;
  if (backward && shared(forward) !== shared(backward)) {
    faults.add(
      `${layer.path}.config.backward_layer`,
      `${titleOf(layer)} has a backward layer that differs from the forward one, which TensorFlow.js cannot compute`,
    );
  }
  delete layer.config['backward_layer'];
  if (typeof config['name'] === 'string') config['name'] = config['name'].replace(/^forward_/, '');
}

function shared(layer: MutableJson): string {
  return canonicalJson(
    JSON.parse(
      JSON.stringify(layer, (key, value: unknown) => (OWN_TO_EACH.has(key) ? undefined : value)),
    ) as MutableJson,
  );
}
