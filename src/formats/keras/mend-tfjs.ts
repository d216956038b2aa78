import { FaultLog } from '../fault-log';
import { inspectLayers } from '../inspect-layers';
import { asArray, asObject, type JsonObject, without } from '../json-value';
import { readKerasModel } from '../keras-model';
import { modelVariables } from '../keras-variables';
import { refuseTwins } from '../refuse-twins';
import { type InspectedFile } from '../artifact-format';
import { checkWeightsManifest, type WeightEntry } from '../weights-manifest';
import { refuseInnerAxes } from './flow/refuse-inner-axes';
import { refuseLostMasks } from './flow/refuse-lost-masks';
import { describeModel } from './layers-files';
import { rewriteTopology } from './rewrite-topology';
import { VarianceFloor } from './variance-floor';
import { namesByLayer, namesByPlace, type OriginalClass } from './weight-names';

/** Bytes of one weight, and whether they stay. */
interface WeightSpan {
  readonly bytes: number;
  readonly isKept: boolean;
  /** The variance of a Normalization, as float32. */
  readonly isVariance: boolean;
}

/** A converted model after the rewrites, and which of the uploaded bytes are still its weights. */
export interface MendedModel {
  readonly description: string;
  readonly weightBytes: number;
  /** Shards of the upload, in the order of the manifest, relative to its folder. */
  readonly shards: readonly string[];
  /** For each weight in the order of the shards. */
  readonly spans: readonly WeightSpan[];
}

const PLACED = /^(.*\/vars)\/\d+$/;
/** Saved with a model, and no part of what it computes. */
const NOT_OF_THE_MODEL = /^(?:optimizer|metrics|_?compile_\w+)\/|(?:^|\/)seed_generator\b/;

/**
 * Mends a layers model that the converter made from a file of Keras 3, which TensorFlow.js would
 * not load. Bytes of weights are not touched, so quantised ones stay what they are; only variances
 * of a Normalization, where they are float32, are floored as Keras does when it computes.
 *
 * @throws InvalidArtifactError with every fault
 */
export function mendTfjs(
  model: JsonObject,
  entry: string,
  files: readonly InspectedFile[],
): MendedModel {
  const faults = new FaultLog();
  const { weights } = checkWeightsManifest(model['weightsManifest'], entry, files, faults);
  const at = `${entry}: modelTopology`;
  const { topology, originalClasses, masked } = rewriteTopology(
    asObject(model['modelTopology']),
    at,
    faults,
  );
  const layers = readKerasModel(topology, at, faults);
  if (layers) {
    refuseLostMasks(layers, masked, faults);
    refuseInnerAxes(layers, faults);
    refuseTwins(modelVariables(layers, new FaultLog()), faults);
  }
  const groupsOfFiles = asArray(model['weightsManifest']).map(asObject);
  const specs = groupsOfFiles.flatMap(({ weights: list }) => asArray(list).map(asObject));
  if (specs.some(({ dtype }) => dtype === 'string')) {
    faults.add(`${entry}: weightsManifest`, 'holds texts, which no layer has for weights');
  }
  faults.throwIfAny();
  if (!layers) return { description: '', weightBytes: 0, shards: [], spans: [] };

  const originalClass: OriginalClass = ({ config, className }) =>
    originalClasses.get(config) ?? className;
  const own = weights.filter(({ name }) => !NOT_OF_THE_MODEL.test(name)).map(({ name }) => name);
  const manifest = `${entry}: weightsManifest`;
  const groups = countGroups(own);
  const named =
    groups.size > 0
      ? namesByPlace(layers, 'layers', originalClass, (group) => groups.get(group) ?? 0, faults)
      : namesByLayer(layers.layers, own, originalClass, manifest, faults);
  const names = new Map(named.map(({ source, name }) => [source, name]));
  const kept = weights.filter(({ name }) => names.has(name));
  const renamed = kept.map((weight): WeightEntry => ({
    ...weight,
    name: names.get(weight.name) ?? weight.name,
  }));
  inspectLayers(topology, renamed, entry, faults);
  faults.throwIfAny();

  const floats = specs.filter(
    ({ dtype, quantization }) => dtype === 'float32' && quantization === undefined,
  );
  const plain = new Set(floats.map(({ name }) => name));
  const variances = new Set(
    named.flatMap(({ source, isVariance }) => (isVariance && plain.has(source) ? [source] : [])),
  );

  const { generatedBy } = model;
  const weightBytes = kept.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  return {
    description: describeModel({
      topology: without(topology, 'training_config'),
      generatedBy: typeof generatedBy === 'string' ? generatedBy : 'keras',
      weights: specs.flatMap((spec) => {
        const name = names.get(String(spec['name']));
        return name === undefined ? [] : [{ ...spec, name }];
      }),
      weightBytes,
    }),
    weightBytes,
    shards: groupsOfFiles.flatMap(({ paths }) => asArray(paths).map(String)),
    spans: weights.map(({ name, storedBytes }) => ({
      bytes: storedBytes,
      isKept: names.has(name),
      isVariance: variances.has(name),
    })),
  };
}

/** The bytes that stay, out of all shards one behind the other. */
export async function* keptBytes(
  shards: AsyncIterable<Uint8Array>,
  spans: MendedModel['spans'],
): AsyncGenerator<Uint8Array> {
  const floor = new VarianceFloor();
  const open = spans.values();
  let span = open.next().value;
  let left = span?.bytes ?? 0;
  for await (let piece of shards) {
    while (piece.length > 0 && span) {
      while (left === 0 && span) {
        span = open.next().value;
        left = span?.bytes ?? 0;
      }
      if (!span) return;
      const part = piece.subarray(0, left);
      if (span.isKept) yield span.isVariance ? floor.push(part) : part;
      piece = piece.subarray(part.length);
      left -= part.length;
    }
  }
}

function countGroups(names: readonly string[]): Map<string, number> {
  const groups = new Map<string, number>();
  for (const name of names) {
    const group = PLACED.exec(name)?.[1];
    if (group !== undefined) groups.set(group, (groups.get(group) ?? 0) + 1);
  }
  return groups;
}
