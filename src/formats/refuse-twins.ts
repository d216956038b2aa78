import { type FaultLog, quoted } from './fault-log';
import { CONVERT_TO_GRAPH } from './graph-form';
import { type KerasLayer } from './keras-model';
import { type Variable } from './keras-variables';

/**
 * Refuses layers with weights that stand under one name in two models, one inside the other or side
 * by side: so does a layer, or a model, that Keras shares among them. TensorFlow.js makes two layers
 * of it, and knows weights by the name of the layer alone.
 */
export function refuseTwins(variables: readonly Variable[], faults: FaultLog): void {
  const seen = new Map<string, KerasLayer>();
  const refused = new Set<KerasLayer>();
  for (const { name, layer } of variables) {
    const twin = seen.get(name);
    seen.set(name, layer);
    if (!twin || refused.has(layer)) continue;
    refused.add(layer);
    faults.add(
      layer.path,
      `the layer ${quoted(layer.name)} (${layer.className}) stands at ${twin.path} as well, and TensorFlow.js cannot tell the weights of the two apart. If it is one layer that models share, or that stands in a model that they share, call it in one of them only; if they are two, give each a name of its own. ${CONVERT_TO_GRAPH}`,
    );
  }
}
