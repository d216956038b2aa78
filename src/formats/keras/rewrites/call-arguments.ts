import { CONVERT_TO_GRAPH } from '../../graph-form';
import { asArray } from '../../json-value';
import {
  asMutable,
  type LayerDraft,
  type ModelDraft,
  type Rewriting,
  titleOf,
} from '../topology-json';
import { readCall } from './keras-tensor';

/**
 * Refuses arguments of calls that TensorFlow.js passes over. Keras 2 keeps to `training=True` when
 * it predicts; Keras 3 does not, and neither does TensorFlow.js.
 */
export function refuseCallArguments({ layers }: ModelDraft, notes: Rewriting): void {
  for (const layer of layers) {
    asArray(layer.json['inbound_nodes']).forEach((call, index) => {
      if (readCall(call)) return;
      for (const reference of asArray(call)) {
        const kwargs = asMutable(asArray(reference)[3]);
        if (kwargs) check(layer, kwargs, `${layer.path}.inbound_nodes[${index}]`, notes);
      }
    });
  }
}

function check(
  layer: LayerDraft,
  kwargs: Readonly<Record<string, unknown>>,
  path: string,
  { faults, isKeras3 }: Rewriting,
): void {
  if (!isKeras3 && (kwargs['training'] === true || kwargs['training'] === 1)) {
    faults.add(
      path,
      `${titleOf(layer)} is called with training=True, which TensorFlow.js does not compute when it predicts. Call it without. ${CONVERT_TO_GRAPH}`,
    );
  }
  if ((kwargs['mask'] ?? null) !== null) {
    faults.add(
      path,
      `${titleOf(layer)} is given a tensor as "mask", which TensorFlow.js does not take. ${CONVERT_TO_GRAPH}`,
    );
  }
}
