import { asArray } from '../../json-value';
import {
  asMutable,
  classOf,
  type LayerDraft,
  type ModelDraft,
  nameOf,
  type Rewriting,
} from '../topology-json';
import { historyOf, readCall } from './keras-tensor';

/** Operations that Keras 3 computes a mask with. */
const MASK_OPERATIONS = new Set(['NotEqual', 'Any']);

/**
 * Keras 3 writes the masks of Embedding and Masking as operations of their own, and hands them to
 * each layer. TensorFlow.js passes masks along by itself, so both go.
 *
 * Only masks that come from such a layer: one that the model computes otherwise stays, and is
 * refused as the operation that it is.
 */
export function dropImplicitMasks(
  { config, layers }: ModelDraft,
  { masked: given }: Rewriting,
): void {
  const masked = new Set(layers.filter(makesMask).flatMap(inputsOf));
  const dropped = new Set<string>();
  // Layers stand behind what they need, so one pass sees an Any after its NotEqual.
  for (const layer of layers) {
    if (!MASK_OPERATIONS.has(classOf(layer))) continue;
    const inputs = inputsOf(layer);
    const isImplicit = inputs.every((input) => masked.has(input) || dropped.has(layerOf(input)));
    if (inputs.length > 0 && isImplicit) dropped.add(nameOf(layer));
  }
  for (const name of usedAsInput(layers, dropped)) dropped.delete(name);
  if (dropped.size === 0) return;
  const kept = layers.filter((layer) => !dropped.has(nameOf(layer)));
  for (const layer of kept) {
    for (const node of asArray(layer.json['inbound_nodes'])) {
      const kwargs = asMutable(asMutable(node)?.['kwargs']);
      const mask = historyOf(kwargs?.['mask']);
      if (!kwargs || !mask || !dropped.has(mask[0])) continue;
      delete kwargs['mask'];
      given.add(layer.config);
    }
  }
  config['layers'] = kept.map(({ json }) => json);
}

function makesMask(layer: LayerDraft): boolean {
  const className = classOf(layer);
  return (
    className === 'Masking' || (className === 'Embedding' && layer.config['mask_zero'] === true)
  );
}

function inputsOf(layer: LayerDraft): string[] {
  return asArray(layer.json['inbound_nodes']).flatMap((node) =>
    (readCall(node)?.tensors ?? []).map((tensor) => JSON.stringify(tensor)),
  );
}

function layerOf(input: string): string {
  return (JSON.parse(input) as [string])[0];
}

/** Of the given operations, those whose result is more than a mask to some layer. */
function usedAsInput(layers: readonly LayerDraft[], operations: ReadonlySet<string>): Set<string> {
  const users = layers.filter((layer) => !operations.has(nameOf(layer)));
  return new Set(
    users
      .flatMap(inputsOf)
      .map(layerOf)
      .filter((name) => operations.has(name)),
  );
}
