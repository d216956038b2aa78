import { type FaultLog } from '../fault-log';
import { isObject } from '../json-value';
import { MODEL_CLASSES } from '../layer-classes';

/** A part of a topology that is being rewritten: always a copy of what was uploaded. */
export type MutableJson = Record<string, unknown>;

/** A layer on its way from Keras to TensorFlow.js. */
export interface LayerDraft {
  /** Where it stands, for faults. */
  readonly path: string;
  readonly json: MutableJson;
  readonly config: MutableJson;
}

/** A model, or a model inside a model. */
export interface ModelDraft {
  readonly path: string;
  readonly config: MutableJson;
  readonly layers: readonly LayerDraft[];
}

/** What the rewrites of one topology share. */
export interface Rewriting {
  readonly faults: FaultLog;
  readonly isKeras3: boolean;
  /** Classes that layers had in Keras, by the configuration of the layer that replaced them. */
  readonly originalClasses: WeakMap<object, string>;
  /** Configurations of layers that were handed a mask which TensorFlow.js passes along by itself. */
  readonly masked: WeakSet<object>;
}

export function asMutable(value: unknown): MutableJson | null {
  return isObject(value) ? value : null;
}

export function classOf(layer: LayerDraft): string {
  const { class_name: name } = layer.json;
  return typeof name === 'string' ? name : '';
}

export function nameOf(layer: LayerDraft): string {
  const name = layer.config['name'] ?? layer.json['name'];
  return typeof name === 'string' ? name : '';
}

/** A layer as a fault speaks of it. */
export function titleOf(layer: LayerDraft): string {
  return `the layer ${JSON.stringify(nameOf(layer).slice(0, 80))} (${classOf(layer).slice(0, 80)})`;
}

export function replaceClass(layer: LayerDraft, className: string, notes: Rewriting): void {
  if (!notes.originalClasses.has(layer.config)) {
    notes.originalClasses.set(layer.config, classOf(layer));
  }
  layer.json['class_name'] = className;
}

/** Every model of a topology, also inside wrappers; the inner ones before those that contain them. */
export function modelsOf(root: MutableJson, path: string): ModelDraft[] {
  const { config } = root;
  // Old Sequential models are configured by the bare list of their layers.
  const list = Array.isArray(config) ? (config as unknown[]) : asMutable(config)?.['layers'];
  const at = Array.isArray(config) ? `${path}.config` : `${path}.config.layers`;
  const layers = draftLayers(list, at);
  const inner = withParts(layers)
    .filter((layer) => MODEL_CLASSES.has(classOf(layer)))
    .flatMap((layer) => modelsOf(layer.json, layer.path));
  return [...inner, { path, config: asMutable(config) ?? {}, layers }];
}

/** The layers of a model, and what they wrap: the layer in a wrapper, the cells of a recurrence. */
export function withParts(layers: readonly LayerDraft[]): LayerDraft[] {
  return layers.flatMap((layer) => {
    const parts = ['layer', 'backward_layer', 'cell', 'cells'].flatMap((key) => {
      const value = layer.config[key];
      const path = `${layer.path}.config.${key}`;
      return draftLayers(Array.isArray(value) ? value : [value], path);
    });
    return [layer, ...withParts(parts)];
  });
}

function draftLayers(list: unknown, path: string): LayerDraft[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((value: unknown, index) => {
    const json = asMutable(value);
    const config = asMutable(json?.['config']);
    return json && config ? [{ path: `${path}[${index}]`, json, config }] : [];
  });
}
