import { checkKerasWeights } from './check-keras-weights';
import { type FaultLog } from './fault-log';
import { findKeras3Marks } from './find-keras3-marks';
import { type JsonObject } from './json-value';
import { readKerasModel } from './keras-model';
import { kerasSignature } from './keras-signature';
import { modelVariables } from './keras-variables';
import { followCalls } from './keras-wiring';
import { type PartialSignature } from './partial-signature';
import { type WeightEntry } from './weights-manifest';

/**
 * Checks a topology of Keras layers as far as that goes without running it; null after faults.
 * `weights` is null when they are not known well enough to be compared with the layers.
 */
export function inspectLayers(
  topology: JsonObject,
  weights: readonly WeightEntry[] | null,
  entry: string,
  faults: FaultLog,
): PartialSignature | null {
  const path = `${entry}: modelTopology`;
  const before = faults.size;
  const marks = findKeras3Marks(topology);
  if (marks.length > 0) {
    faults.add(
      path,
      `the model was saved by Keras 3 (${marks.join('; ')}), which TensorFlow.js does not load. Save it with Keras 2 (tf_keras), or export a SavedModel and convert that to a graph model`,
    );
  }
  const model = readKerasModel(topology, path, faults);
  if (!model || faults.size > before) return null;
  const wiring = followCalls(model, faults);
  // A model whose layers do not hang together has no variables to speak of.
  if (faults.size > before) return null;
  const variables = modelVariables(model, faults);
  if (weights) checkKerasWeights(variables, weights, `${entry}: weightsManifest`, faults);
  return kerasSignature(wiring, faults);
}
