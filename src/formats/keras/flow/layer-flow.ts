import { asArray, member } from '../../json-value';
import { type KerasLayer, type KerasModel } from '../../keras-model';
import { firstCall } from '../../keras-wiring';

/** Carries values of inputs through a model that stands inside another. */
export type Through = (model: KerasModel, inputs: readonly number[]) => readonly number[];

/** What one call of a layer makes of the values of its inputs: a value for each of its outputs. */
export type FlowRule = (
  layer: KerasLayer,
  inputs: readonly number[],
  through: Through,
) => readonly number[];

interface Source {
  readonly key: string;
  readonly tensor: number;
}

interface Call {
  readonly key: string;
  readonly layer: KerasLayer;
  readonly sources: readonly Source[];
  /** Values that come from outside of the model. */
  readonly given: readonly number[];
}

/**
 * Carries numbers along the tensors of a model and of the models inside it, each call once and after
 * all that feed it, to the outputs. 0 stands for nothing known.
 *
 * Calls that refer to nothing, or round in a circle, are left out; finding those is for others.
 */
export function followTensors(model: KerasModel, rule: FlowRule): readonly number[] {
  const known = new Map<KerasModel, Map<string, readonly number[]>>();
  const through: Through = (inner, inputs) => {
    // The same model may be called many times over, on every level of nesting.
    const results = known.get(inner) ?? new Map<string, readonly number[]>();
    known.set(inner, results);
    const key = inputs.join();
    const result = results.get(key) ?? runModel(inner, inputs, rule, through);
    results.set(key, result);
    return result;
  };
  return through(model, []);
}

function runModel(
  model: KerasModel,
  inputs: readonly number[],
  rule: FlowRule,
  through: Through,
): readonly number[] {
  const calls = model.isSequential
    ? sequentialCalls(model, inputs)
    : functionalCalls(model, inputs);
  const keys = new Set(calls.map(({ key }) => key));
  const users = new Map<string, Call[]>();
  const waitsFor = new Map<Call, number>();
  for (const call of calls) {
    const needed = new Set(call.sources.map(({ key }) => key).filter((key) => keys.has(key)));
    waitsFor.set(call, needed.size);
    for (const key of needed) {
      const list = users.get(key);
      if (list) list.push(call);
      else users.set(key, [call]);
    }
  }
  const values = new Map<string, readonly number[]>();
  const valueOf = ({ key, tensor }: Source): number => values.get(key)?.[tensor] ?? 0;
  const ready = calls.filter((call) => waitsFor.get(call) === 0);
  for (let call = ready.pop(); call; call = ready.pop()) {
    values.set(call.key, rule(call.layer, [...call.given, ...call.sources.map(valueOf)], through));
    for (const user of users.get(call.key) ?? []) {
      const left = (waitsFor.get(user) ?? 0) - 1;
      waitsFor.set(user, left);
      if (left === 0) ready.push(user);
    }
  }
  if (model.isSequential) return values.get(calls.at(-1)?.key ?? '') ?? [];
  return asArray(member(model.config, 'outputLayers')).map((end) => valueOf(sourceOf(end)));
}

function sequentialCalls({ layers }: KerasModel, inputs: readonly number[]): Call[] {
  return layers.map((layer, index) => ({
    key: String(index),
    layer,
    sources: index === 0 ? [] : [{ key: String(index - 1), tensor: 0 }],
    given: index === 0 ? inputs : [],
  }));
}

function functionalCalls(model: KerasModel, inputs: readonly number[]): Call[] {
  const ends = asArray(member(model.config, 'inputLayers')).map((end) => sourceOf(end).key);
  const given = new Map(ends.map((key, index) => [key, inputs[index] ?? 0]));
  return model.layers.flatMap((layer): Call[] => {
    if (layer.className === 'InputLayer') {
      const key = keyOf(layer.name, 0);
      return [{ key, layer, sources: [], given: [given.get(key) ?? 0] }];
    }
    return asArray(layer.inboundNodes).map((references, index) => ({
      key: keyOf(layer.name, index + firstCall(layer)),
      layer,
      sources: asArray(references).map(sourceOf),
      given: [],
    }));
  });
}

function sourceOf(reference: unknown): Source {
  const [name, call, tensor] = asArray(reference);
  return { key: keyOf(name, call), tensor: typeof tensor === 'number' ? tensor : 0 };
}

function keyOf(name: unknown, call: unknown): string {
  return `${String(call)} ${String(name)}`;
}
