import { CONVERT_TO_GRAPH } from './graph-form';
import { nameFault } from './artifact-names';
import { type FaultLog, quoted } from './fault-log';
import { asObject, isObject, type JsonObject, member } from './json-value';
import { LAYER_CLASSES, MODEL_CLASSES } from './layer-classes';

/** Layers of a model and of the models inside it. */
const MAX_LAYERS = 100_000;

/** One layer as a topology configures it. */
export interface KerasLayer {
  /** Where it stands, for faults. */
  readonly path: string;
  readonly className: string;
  readonly name: string;
  readonly config: JsonObject;
  /** How a functional model calls it, as written. */
  readonly inboundNodes: unknown;
  /** The layer that a wrapper wraps, or the cells of a recurrent layer. */
  readonly parts: readonly KerasLayer[];
  /** What a layer that is itself a model consists of. */
  readonly model: KerasModel | null;
}

export interface KerasModel {
  readonly path: string;
  readonly isSequential: boolean;
  readonly layers: readonly KerasLayer[];
  /** Members of a functional model's configuration, as written. */
  readonly config: JsonObject;
}

/**
 * Reads the layers out of a topology and checks each by itself: that its class exists in
 * TensorFlow.js and that its name can be used. How they are connected is not looked at.
 *
 * The nesting of the file is limited before this recurses into models within models.
 */
export function readKerasModel(
  topology: JsonObject,
  path: string,
  faults: FaultLog,
): KerasModel | null {
  const wrapped = topology['model_config'];
  const isWrapped = wrapped !== undefined && wrapped !== null;
  const at = isWrapped ? `${path}.model_config` : path;
  if (isWrapped && !isObject(wrapped)) {
    faults.add(at, 'an object with class_name and config was expected');
    return null;
  }
  const root = isWrapped ? asObject(wrapped) : topology;
  const className = member(root, 'className');
  if (typeof className !== 'string' || !MODEL_CLASSES.has(className)) {
    const shown = typeof className === 'string' ? quoted(className) : 'nothing';
    faults.add(
      at,
      `the topology is of class ${shown}; one of ${[...MODEL_CLASSES].join(', ')} was expected`,
    );
    return null;
  }
  return new LayerReader(faults).readModel(className, member(root, 'config'), `${at}.config`);
}

class LayerReader {
  private count = 0;

  constructor(private readonly faults: FaultLog) {}

  readModel(className: string, config: unknown, path: string): KerasModel | null {
    // Old Sequential models are configured by the bare list of their layers.
    const isList = className === 'Sequential' && Array.isArray(config);
    const layers = isList ? config : member(asObject(config), 'layers');
    const layersPath = isList ? path : `${path}.layers`;
    if (!Array.isArray(layers) || layers.length === 0) {
      this.faults.add(layersPath, 'a list of layers was expected');
      return null;
    }
    this.count += layers.length;
    if (this.count > MAX_LAYERS) {
      this.faults.add(layersPath, `there are more than ${MAX_LAYERS} layers`);
      return null;
    }
    const isSequential = className === 'Sequential';
    const read = layers.map((layer: unknown, index) =>
      this.readLayer(layer, `${layersPath}[${index}]`),
    );
    this.checkNames(read, isSequential ? [] : layers, layersPath);
    if (read.includes(null)) return null;
    return {
      path,
      isSequential,
      layers: read.filter((layer) => layer !== null),
      config: asObject(config),
    };
  }

  private readLayer(value: unknown, path: string): KerasLayer | null {
    const className = member(asObject(value), 'className');
    const config = member(asObject(value), 'config');
    if (typeof className !== 'string' || typeof config !== 'object' || config === null) {
      this.faults.add(path, 'a layer with class_name and config was expected');
      return null;
    }
    const name = member(asObject(config), 'name') ?? member(asObject(value), 'name');
    const shown = typeof name === 'string' ? quoted(name) : 'without a name';
    const fault = classFault(className, asObject(config));
    if (fault !== undefined) {
      this.faults.add(path, `the layer ${shown} ${fault}`);
      return null;
    }
    const isModel = MODEL_CLASSES.has(className);
    const badName = isModel && Array.isArray(config) ? undefined : nameFault(name);
    if (badName !== undefined) this.faults.add(`${path}.config.name`, badName);
    const model = isModel ? this.readModel(className, config, `${path}.config`) : null;
    const parts = this.readParts(className, asObject(config), `${path}.config`);
    if (badName !== undefined || !parts || (isModel && !model)) return null;
    return {
      path,
      className,
      name: typeof name === 'string' ? name : className,
      config: asObject(config),
      inboundNodes: member(asObject(value), 'inboundNodes'),
      parts,
      model,
    };
  }

  /** The layers inside a layer; null after a fault. */
  private readParts(
    className: string,
    config: JsonObject,
    path: string,
  ): readonly KerasLayer[] | null {
    const kind = PARTS.get(className);
    if (!kind) return [];
    const { key, classes } = kind;
    const value = member(config, key);
    const list = Array.isArray(value) ? (value as unknown[]) : [value];
    const parts = list.map((part, index) =>
      this.readLayer(part, Array.isArray(value) ? `${path}.${key}[${index}]` : `${path}.${key}`),
    );
    const sound = parts.filter((part) => part !== null);
    for (const part of sound) {
      if (classes.test(part.className)) continue;
      this.faults.add(part.path, `a ${className} cannot hold a layer of class ${part.className}`);
      return null;
    }
    return sound.length === parts.length ? sound : null;
  }

  /** Names are how layers find each other, so each model has every name once. */
  private checkNames(
    layers: readonly (KerasLayer | null)[],
    written: readonly unknown[],
    path: string,
  ): void {
    const seen = new Set<string>();
    layers.forEach((layer, index) => {
      if (!layer) return;
      if (seen.has(layer.name)) {
        this.faults.add(`${path}[${index}]`, `two layers are called ${quoted(layer.name)}`);
      }
      seen.add(layer.name);
      if (written.length > 0 && member(asObject(written[index]), 'name') !== layer.name) {
        this.faults.add(
          `${path}[${index}].name`,
          `the layer is called ${quoted(layer.name)} in its config, and otherwise here`,
        );
      }
    });
  }
}

const RECURRENT = /^(?:RNN|SimpleRNN|GRU|LSTM|ConvLSTM2D)$/;
const CELL = /^(?:StackedRNNCells|SimpleRNNCell|GRUCell|LSTMCell|ConvLSTM2DCell)$/;

/**
 * Where a layer that holds other layers has them, and of which classes they are. A Bidirectional
 * counts its layer twice: within itself, a hundred times, it would never be counted to the end.
 */
const PARTS: ReadonlyMap<string, { readonly key: string; readonly classes: RegExp }> = new Map([
  ['Bidirectional', { key: 'layer', classes: RECURRENT }],
  ['TimeDistributed', { key: 'layer', classes: /./ }],
  ['RNN', { key: 'cell', classes: CELL }],
  ['StackedRNNCells', { key: 'cells', classes: CELL }],
]);

function classFault(className: string, config: JsonObject): string | undefined {
  if (className === 'Lambda') {
    return `is a Lambda: its Python code cannot run here. Replace it by layers. ${CONVERT_TO_GRAPH}`;
  }
  if (!LAYER_CLASSES.has(className)) {
    return `is of class ${quoted(className)}, which TensorFlow.js does not have. ${CONVERT_TO_GRAPH}`;
  }
  if (className === 'Conv3DTranspose') {
    return `is a Conv3DTranspose, which TensorFlow.js computes wrongly on WebAssembly. ${CONVERT_TO_GRAPH}`;
  }
  if (/^GRU(?:Cell)?$/.test(className) && member(config, 'resetAfter') === true) {
    return `is a ${className} with reset_after=true, which TensorFlow.js cannot compute. ${CONVERT_TO_GRAPH}`;
  }
  return undefined;
}
