import { type FaultLog, quoted } from '../fault-log';
import { type KerasLayer, type KerasModel } from '../keras-model';
import { layerVariables } from '../keras-variables';
import { member } from '../json-value';

/** A weight of TensorFlow.js and where Keras keeps it. */
export interface NamedWeight {
  /** Name in Keras: of a dataset, or in the manifest that a converter wrote. */
  readonly source: string;
  readonly name: string;
  /** The variance of a Normalization, which a BatchNormalization takes otherwise (`floorVariances`). */
  readonly isVariance: boolean;
}

/** Of a Normalization: its third weight only counts what it was adapted to. */
const DROPPED = 1;
const VARIANCE_SUFFIX = '/moving_variance';

export type OriginalClass = (layer: KerasLayer) => string;

/**
 * Weights of the new format (`.keras`), `<layer>/vars/<i>`: layers are found by their class, counted
 * in the order of the layers, and weights by their place.
 *
 * `count` tells how many weights stand in such a group; one more than the layer has here means
 * that it computes something else.
 */
export function namesByPlace(
  model: KerasModel,
  root: string,
  originalClass: OriginalClass,
  count: (group: string) => number,
  faults: FaultLog,
): NamedWeight[] {
  const weights: NamedWeight[] = [];
  const visit = (inner: KerasModel, path: string): void => {
    const seen = new Map<string, number>();
    for (const layer of inner.layers) {
      const base = toSnakeCase(originalClass(layer));
      const index = seen.get(base) ?? 0;
      seen.set(base, index + 1);
      const at = `${path}/${index === 0 ? base : `${base}_${index}`}`;
      if (layer.model) visit(layer.model, `${at}/layers`);
      else takeLayer(layer, at);
    }
  };
  const takeLayer = (layer: KerasLayer, at: string): void => {
    const [wrapped] = layer.parts;
    if (layer.className === 'TimeDistributed' && wrapped?.model) {
      visit(wrapped.model, `${at}/layer/layers`);
      return;
    }
    const names = layerVariables(layer, layer.name, faults).map(({ name }) => name);
    const isNormalization = originalClass(layer) === 'Normalization';
    const dropped = isNormalization ? DROPPED : 0;
    const groups = variableGroups(layer, at, faults);
    let next = 0;
    for (const { path, variables } of groups) {
      const present = count(path);
      if (present !== variables + dropped) {
        faults.add(
          path,
          `holds ${present} weights for the layer ${quoted(layer.name)} (${originalClass(layer)}), which has ${variables + dropped}`,
        );
        return;
      }
      for (let place = 0; place < variables; place++) {
        const name = names[next++] ?? '';
        weights.push({
          source: `${path}/${place}`,
          name,
          isVariance: isNormalization && name.endsWith(VARIANCE_SUFFIX),
        });
      }
    }
  };
  visit(model, root);
  return weights;
}

/** Groups that hold the weights of one layer, in the order of its variables. */
function variableGroups(
  layer: KerasLayer,
  at: string,
  faults: FaultLog,
): { readonly path: string; readonly variables: number }[] {
  const { className, parts } = layer;
  const [only] = parts;
  if (className === 'Bidirectional' && only) {
    return ['forward_layer', 'backward_layer'].flatMap((way) =>
      variableGroups(only, `${at}/${way}`, faults),
    );
  }
  if (className === 'TimeDistributed' && only) return variableGroups(only, `${at}/layer`, faults);
  if (className === 'RNN' && only && !Array.isArray(member(layer.config, 'cell'))) {
    return variableGroups(only, `${at}/cell`, faults);
  }
  if (className === 'StackedRNNCells') {
    const seen = new Map<string, number>();
    return parts.flatMap((part) => {
      const base = toSnakeCase(part.className);
      const index = seen.get(base) ?? 0;
      seen.set(base, index + 1);
      return variableGroups(part, `${at}/cells/${index === 0 ? base : `${base}_${index}`}`, faults);
    });
  }
  const variables = layerVariables(layer, '', faults).length;
  if (variables === 0) return [];
  const isRecurrent = /^(?:SimpleRNN|GRU|LSTM|ConvLSTM2D)$/.test(className);
  return [{ path: `${at}${isRecurrent ? '/cell' : ''}/vars`, variables }];
}

/**
 * Weights by the names that variables had in Keras, e.g. `model/dense/kernel:0`. Prefixes differ
 * between releases, so only the layer is looked for in a name; within the layer, order decides,
 * as it does when Keras loads them.
 */
export function namesByLayer(
  layers: readonly KerasLayer[],
  sources: readonly string[],
  originalClass: OriginalClass,
  path: string,
  faults: FaultLog,
): NamedWeight[] {
  const leaves = leavesOf(layers);
  const [single] = leaves.size === 1 ? leaves.values() : [];
  const found = new Map<KerasLayer, string[]>();
  for (const source of sources) {
    const scopes = source.split('/').slice(0, -1);
    const scope = single ? single.name : scopes.findLast((candidate) => leaves.has(candidate));
    const layer = scope === undefined ? undefined : leaves.get(scope);
    if (!layer) faults.add(path, `no layer has a weight ${quoted(source)}`);
    else found.set(layer, [...(found.get(layer) ?? []), source]);
  }
  return [...leaves.values()].flatMap((layer) => {
    const names = layerVariables(layer, layer.name, faults).map(({ name }) => name);
    const isNormalization = originalClass(layer) === 'Normalization';
    const dropped = isNormalization ? DROPPED : 0;
    const own = found.get(layer) ?? [];
    if (own.length !== names.length + dropped) {
      faults.add(
        path,
        `there are ${own.length} weights for the layer ${quoted(layer.name)} (${originalClass(layer)}), which has ${names.length + dropped}`,
      );
      return [];
    }
    return names.map((name, index) => ({
      source: own[index] ?? '',
      name,
      isVariance: isNormalization && name.endsWith(VARIANCE_SUFFIX),
    }));
  });
}

function leavesOf(layers: readonly KerasLayer[]): Map<string, KerasLayer> {
  const leaves = new Map<string, KerasLayer>();
  for (const layer of layers) {
    if (!layer.model) leaves.set(layer.name, layer);
    else for (const [name, leaf] of leavesOf(layer.model.layers)) leaves.set(name, leaf);
  }
  return leaves;
}

/** As Keras makes the name of a group from the name of a class. */
function toSnakeCase(className: string): string {
  return className
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
}
