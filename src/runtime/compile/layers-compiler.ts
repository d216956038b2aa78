import { NotCompiledError } from '../runtime.errors';
import { type ComputedType, type Constant } from './constant';
import { type GraphBuilder } from './graph-builder';
import {
  LayerConfig,
  type LayerCall,
  type LayerCompiler,
  type LayerJson,
  LayerWeights,
} from './layer-call';
import { CONVOLUTION_LAYERS } from './layers-convolution';
import { CORE_LAYERS, maskOf } from './layers-core';
import { POOLING_LAYERS } from './layers-pooling';
import { RECURRENT_LAYERS } from './layers-recurrent';
import { type Container, parseContainer, type TensorKey } from './layers-topology';
import { listed, type Value, withoutOrigin } from './value';

const LAYERS: Readonly<Record<string, LayerCompiler>> = {
  ...CONVOLUTION_LAYERS,
  ...CORE_LAYERS,
  ...POOLING_LAYERS,
  ...RECURRENT_LAYERS,
};

/** Layers through which a mask passes as it is; every other one ends it. */
const PASSES_MASK = new Set([
  ...['ReLU', 'PReLU', 'Dropout', 'SpatialDropout1D', 'Dense', 'Activation', 'GaussianNoise'],
  ...['GaussianDropout', 'AlphaDropout', 'BatchNormalization', 'LayerNormalization'],
  'TimeDistributed',
]);
/** Layers that compute something from a mask, or combine several. */
const KEEPS_MASK_OF_SEQUENCE = new Set(['SimpleRNN', 'GRU', 'LSTM', 'Bidirectional']);
const MERGES = new Set(['Add', 'Multiply', 'Average', 'Maximum', 'Minimum', 'Concatenate', 'Dot']);
const CONTAINERS = new Set(['Model', 'Functional', 'Sequential']);

export interface CompiledLayers {
  readonly inputs: readonly { readonly layer: string; readonly value: Value }[];
  readonly outputs: readonly { readonly layer: string; readonly value: Value }[];
}

interface Made {
  readonly value: Value;
  readonly mask: Value | undefined;
}

/**
 * Compiles a Keras-style model.
 *
 * Layers are taken in whatever order their inputs allow. A model inside the model is compiled in
 * place; a layer that is used twice is compiled twice, from the same weights.
 */
export function compileLayers(
  b: GraphBuilder,
  topology: unknown,
  weights: ReadonlyMap<string, Constant>,
): CompiledLayers {
  const container = parseContainer(topology);
  const compiler = new LayersCompiler(b, new LayerWeights(withoutCells(weights), ''));
  const inputs = container.inputs.map(([layer]) => {
    const value = compiler.input(container, layer);
    return { layer, value };
  });
  const outputs = compiler.run(
    container,
    inputs.map(({ value }) => value),
  );
  return {
    inputs,
    outputs: container.outputs.map(([layer], index) => {
      const value = outputs[index];
      if (!value) throw new NotCompiledError(`Output ${layer} is not computed`);
      return { layer, value };
    }),
  };
}

class LayersCompiler {
  constructor(
    private readonly b: GraphBuilder,
    private readonly weights: LayerWeights,
  ) {}

  input(container: Container, name: string): Value {
    const layer = container.layers.find((candidate) => candidate.name === name);
    const config = new LayerConfig('InputLayer', layer?.json.config ?? {});
    const dtype = config.text('dtype', 'float32');
    if (!isComputed(dtype)) throw new NotCompiledError(`Inputs of type ${dtype} are not compiled`);
    const key = config.raw('batch_input_shape') === undefined ? 'batch_shape' : 'batch_input_shape';
    return this.b.input(dtype, config.sizes(key));
  }

  run(container: Container, inputs: readonly Value[]): Value[] {
    const made = new Map<string, Made>();
    container.inputs.forEach((key, index) => {
      const value = inputs[index];
      if (value) made.set(keyOf(key), { value, mask: undefined });
    });
    const uses = countUses(container);
    let waiting = container.calls;
    while (waiting.length > 0) {
      const later = waiting.filter((call) => {
        const sources = call.inputs.map((key) => made.get(keyOf(key)));
        if (!sources.every((source) => source !== undefined)) return true;
        const [first] = call.inputs;
        const isOnlyUse = first !== undefined && uses.get(keyOf(first)) === 1;
        const outputs = this.apply(
          call.layer.json,
          this.weights.of(call.layer.name),
          sources,
          isOnlyUse,
        );
        outputs.forEach((output, index) => {
          made.set(keyOf([call.layer.name, call.node, index]), output);
        });
        return false;
      });
      if (later.length === waiting.length) {
        throw new NotCompiledError('Layers wait for each other', {
          layers: later.map(({ layer }) => layer.name),
        });
      }
      waiting = later;
    }
    return container.outputs.map((key) => {
      const output = made.get(keyOf(key));
      if (!output) throw new NotCompiledError(`Output ${keyOf(key)} is not computed`);
      return output.value;
    });
  }

  private apply(
    json: LayerJson,
    weights: LayerWeights,
    sources: readonly Made[],
    isOnlyUse: boolean,
  ): Made[] {
    const { class_name: className } = json;
    const inputs = sources.map(({ value }) => value);
    const masks = sources.map(({ mask }) => mask);
    const isMasked = masks.some((mask) => mask !== undefined);
    if (isMasked && (MERGES.has(className) || CONTAINERS.has(className))) {
      throw new NotCompiledError(`${className} of masked inputs is not compiled`);
    }
    if (CONTAINERS.has(className)) {
      // Outer layers may use the same value: nothing inside may be folded into it.
      const outputs = this.run(parseContainer(json), inputs.map(withoutOrigin));
      return outputs.map((value) => ({ value: withoutOrigin(value), mask: undefined }));
    }
    const compile = Object.hasOwn(LAYERS, className) ? LAYERS[className] : undefined;
    if (!compile) throw new NotCompiledError(`Layer ${className} is not compiled`);
    const config = new LayerConfig(className, json.config);
    const call: LayerCall = {
      b: this.b,
      config,
      inputs,
      mask: masks[0],
      isOnlyUse,
      weights,
      inner: (layer, own, values) =>
        this.apply(
          layer,
          own,
          values.map((value) => ({ value: withoutOrigin(value), mask: undefined })),
          false,
        ).map(({ value }) => value),
    };
    const outputs = listed(compile(call));
    const mask = this.maskAfter(call, config);
    return outputs.map((value, index) => ({
      value: inputs.includes(value) ? withoutOrigin(value) : value,
      mask: index === 0 ? mask : undefined,
    }));
  }

  private maskAfter(call: LayerCall, config: LayerConfig): Value | undefined {
    const { className } = config;
    if (className === 'Masking') return maskOf(call);
    if (className === 'Embedding') return config.flag('mask_zero') ? maskOf(call) : undefined;
    if (PASSES_MASK.has(className)) return call.mask;
    if (!KEEPS_MASK_OF_SEQUENCE.has(className)) return undefined;
    const wrapped = config.raw('layer') as LayerJson | undefined;
    const inner = wrapped ? new LayerConfig(wrapped.class_name, wrapped.config) : config;
    return inner.flag('return_sequences') ? call.mask : undefined;
  }
}

function keyOf([layer, node, tensor]: TensorKey): string {
  return `${layer}\n${node}\n${tensor}`;
}

function countUses({ calls, outputs }: Container): Map<string, number> {
  const uses = new Map<string, number>();
  for (const key of [...calls.flatMap(({ inputs }) => inputs), ...outputs]) {
    uses.set(keyOf(key), (uses.get(keyOf(key)) ?? 0) + 1);
  }
  return uses;
}

function isComputed(dtype: string): dtype is ComputedType {
  return dtype === 'float32' || dtype === 'int32' || dtype === 'bool';
}

/**
 * The weights under the names that TensorFlow.js looks for: writers that name the cell of a
 * recurrent layer put it before the last part.
 */
function withoutCells(weights: ReadonlyMap<string, Constant>): ReadonlyMap<string, Constant> {
  const named = new Map<string, Constant>();
  for (const [name, weight] of weights) {
    const parts = name.split('/');
    if (parts.length > 2) named.set([...parts.slice(0, -2), parts.at(-1)].join('/'), weight);
  }
  for (const [name, weight] of weights) named.set(name, weight);
  return named;
}
