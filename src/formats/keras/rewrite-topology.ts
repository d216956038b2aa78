import { type FaultLog } from '../fault-log';
import { findKeras3Marks } from '../find-keras3-marks';
import { type JsonObject } from '../json-value';
import { MODEL_CLASSES } from '../layer-classes';
import { rewriteActivations } from './rewrites/activations';
import { rewriteBidirectional } from './rewrites/bidirectional';
import { refuseCallArguments } from './rewrites/call-arguments';
import { rewriteCalls, rewriteEnds } from './rewrites/calls';
import { dropModelPolicy, rewriteDtypePolicy } from './rewrites/dtype-policy';
import { rewriteIdleLayers } from './rewrites/idle-layers';
import { rewriteInputLayer } from './rewrites/input-layer';
import { dropImplicitMasks } from './rewrites/masks';
import { rewriteNormalization } from './rewrites/normalization';
import { refuseOtherResults } from './rewrites/other-results';
import { rewriteReluVariants } from './rewrites/relu-variants';
import { dropTrainingOnly } from './rewrites/training-only';
import {
  asMutable,
  classOf,
  type LayerDraft,
  modelsOf,
  type MutableJson,
  type Rewriting,
  withParts,
} from './topology-json';

export interface RewrittenTopology {
  readonly topology: JsonObject;
  /** Classes that layers had in Keras, by the configuration of the layer that replaced them. */
  readonly originalClasses: WeakMap<object, string>;
  /** Configurations of layers to which the file itself hands a mask. */
  readonly masked: WeakSet<object>;
}

/** Each looks at one layer by itself; the order matters only where one's result is another's case. */
const LAYER_REWRITES: readonly ((layer: LayerDraft, notes: Rewriting) => void)[] = [
  rewriteInputLayer,
  rewriteDtypePolicy,
  dropTrainingOnly,
  rewriteBidirectional,
  rewriteNormalization,
  rewriteReluVariants,
  rewriteActivations,
  rewriteIdleLayers,
  refuseOtherResults,
];

/**
 * Makes of a topology as Keras 2 or 3 writes it one that TensorFlow.js loads, and computes the same
 * from. What cannot be had that way becomes a fault that names layer and class.
 *
 * The nesting of the topology was limited when it was parsed. The original stays as it is.
 */
export function rewriteTopology(
  original: JsonObject,
  path: string,
  faults: FaultLog,
): RewrittenTopology {
  const topology = structuredClone(original) as MutableJson;
  const version = topology['keras_version'];
  const isKeras3 =
    findKeras3Marks(original).length > 0 || (typeof version === 'string' && version >= '3');
  const notes: Rewriting = {
    faults,
    isKeras3,
    originalClasses: new WeakMap(),
    masked: new WeakSet(),
  };
  const wrapped = asMutable(topology['model_config']);
  const root = wrapped ?? topology;
  for (const model of modelsOf(root, wrapped ? `${path}.model_config` : path)) {
    dropModelPolicy(model.config);
    dropImplicitMasks(model, notes);
    const kept = new Set(layersOf(model.config) ?? model.layers.map(({ json }) => json));
    const layers = model.layers.filter(({ json }) => kept.has(json));
    refuseCallArguments({ ...model, layers }, notes);
    rewriteCalls({ ...model, layers }, notes);
    rewriteEnds(model);
    for (const layer of withParts(layers)) {
      if (MODEL_CLASSES.has(classOf(layer))) continue;
      for (const rewrite of LAYER_REWRITES) rewrite(layer, notes);
    }
  }
  return { topology, originalClasses: notes.originalClasses, masked: notes.masked };
}

function layersOf(config: MutableJson): readonly unknown[] | null {
  return Array.isArray(config['layers']) ? (config['layers'] as unknown[]) : null;
}
