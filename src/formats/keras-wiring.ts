import { type FaultLog, quoted, quotedList } from './fault-log';
import { findCycle } from './find-cycle';
import { asArray, member } from './json-value';
import { type KerasLayer, type KerasModel } from './keras-model';

/** One tensor of a functional model: what a layer gave when it was called for the nth time. */
interface TensorRef {
  readonly layer: KerasLayer;
  readonly node: number;
}

/** Where tensors enter and leave a model, and which of its layers they pass. */
export interface Wiring {
  readonly inputs: readonly KerasLayer[];
  readonly outputs: readonly KerasLayer[];
  readonly layers: readonly KerasLayer[];
}

/**
 * Follows the calls of a model.
 *
 * TensorFlow.js tries a call again until its inputs exist: a reference that leads nowhere, or round
 * in a circle, would keep it trying for good. So every reference is looked up here first.
 */
export function followCalls(model: KerasModel, faults: FaultLog): Wiring {
  if (!model.isSequential) return new Functional(model, faults).follow();
  const { layers } = model;
  return { inputs: layers.slice(0, 1), outputs: layers.slice(-1), layers };
}

class Functional {
  private readonly byName: ReadonlyMap<string, KerasLayer>;

  constructor(
    private readonly model: KerasModel,
    private readonly faults: FaultLog,
  ) {
    this.byName = new Map(model.layers.map((layer) => [layer.name, layer]));
  }

  follow(): Wiring {
    const calls = new Map<string, readonly TensorRef[]>();
    for (const layer of this.model.layers) this.readCalls(layer, calls);
    const inputs = this.endpoints('input_layers', 'inputLayers');
    const outputs = this.endpoints('output_layers', 'outputLayers');
    for (const { layer } of inputs) {
      if (layer.className !== 'InputLayer') {
        this.faults.add(
          layer.path,
          `the layer ${quoted(layer.name)} is an input, but no InputLayer`,
        );
      }
    }
    const dependencies = new Map(
      [...calls].map(([key, refs]) => [key, refs.map((ref) => keyOf(ref))] as const),
    );
    const cycle = findCycle(dependencies);
    if (cycle) {
      const names = cycle.map((key) => key.slice(key.indexOf(' ') + 1));
      this.faults.add(`${this.model.path}.layers`, `layers feed each other: ${quotedList(names)}`);
    }
    return {
      inputs: inputs.map(({ layer }) => layer),
      outputs: outputs.map(({ layer }) => layer),
      layers: this.reachable(inputs, outputs, calls),
    };
  }

  private readCalls(layer: KerasLayer, calls: Map<string, readonly TensorRef[]>): void {
    const path = `${layer.path}.inbound_nodes`;
    if (!Array.isArray(layer.inboundNodes)) {
      this.faults.add(path, 'a list of calls was expected');
      return;
    }
    if (layer.className === 'InputLayer') {
      if (layer.inboundNodes.length > 0) this.faults.add(path, 'an InputLayer cannot be called');
      calls.set(keyOf({ layer, node: 0 }), []);
      return;
    }
    layer.inboundNodes.forEach((call: unknown, index) => {
      const at = `${path}[${index}]`;
      if (!Array.isArray(call)) {
        this.faults.add(at, 'a list of [layer, node, tensor] was expected');
        return;
      }
      const refs = call.map((ref: unknown, place) => this.readRef(ref, `${at}[${place}]`));
      const node = index + firstCall(layer);
      calls.set(
        keyOf({ layer, node }),
        refs.filter((ref) => ref !== null),
      );
    });
  }

  private endpoints(key: string, camelKey: string): TensorRef[] {
    const path = `${this.model.path}.${key}`;
    const list = asArray(member(this.model.config, camelKey));
    if (list.length === 0) this.faults.add(path, 'a list of [layer, node, tensor] was expected');
    const refs = list
      .map((ref, index) => this.readRef(ref, `${path}[${index}]`))
      .filter((ref) => ref !== null);
    const seen = new Set<string>();
    for (const { layer } of refs) {
      if (seen.has(layer.name)) {
        this.faults.add(
          path,
          `the layer ${quoted(layer.name)} stands there twice; tensors are told apart by the names of their layers`,
        );
      }
      seen.add(layer.name);
    }
    return refs;
  }

  /** `[layer, node, tensor, …]`; null after a fault. */
  private readRef(ref: unknown, path: string): TensorRef | null {
    const [name, node, tensor] = asArray(ref);
    if (typeof name !== 'string' || !isIndex(node) || !isIndex(tensor)) {
      this.faults.add(path, 'a reference [layer, node, tensor] was expected');
      return null;
    }
    const layer = this.byName.get(name);
    if (!layer) {
      this.faults.add(path, `there is no layer ${quoted(name)}`);
      return null;
    }
    const first = firstCall(layer);
    const end = layer.className === 'InputLayer' ? 1 : first + asArray(layer.inboundNodes).length;
    if (node < first || node >= end) {
      this.faults.add(path, `the layer ${quoted(name)} has no call number ${node}`);
      return null;
    }
    return { layer, node };
  }

  /** Layers on the way from the inputs to the outputs; the others, TensorFlow.js leaves out. */
  private reachable(
    inputs: readonly TensorRef[],
    outputs: readonly TensorRef[],
    calls: ReadonlyMap<string, readonly TensorRef[]>,
  ): KerasLayer[] {
    const fed = new Set(inputs.map(({ layer }) => layer));
    const seen = new Set<string>();
    const reached = new Set<KerasLayer>();
    const open = [...outputs];
    for (let ref = open.pop(); ref; ref = open.pop()) {
      const key = keyOf(ref);
      if (seen.has(key)) continue;
      seen.add(key);
      reached.add(ref.layer);
      if (ref.layer.className === 'InputLayer' && !fed.has(ref.layer)) {
        this.faults.add(ref.layer.path, 'this InputLayer is needed, but not among input_layers');
      }
      for (const needed of calls.get(key) ?? []) open.push(needed);
    }
    return this.model.layers.filter((layer) => reached.has(layer));
  }
}

/** Call 0 of a model inside a model is the one that made it, which the outer one cannot refer to. */
export function firstCall({ model }: KerasLayer): number {
  return model ? 1 : 0;
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function keyOf({ layer, node }: TensorRef): string {
  return `${node} ${layer.name}`;
}
