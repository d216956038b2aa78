import { DTYPE_BYTES, type DType } from '../common/tensor';
import { type FaultLog, quoted } from './fault-log';
import { asArray, type JsonObject, member } from './json-value';
import { type KerasLayer } from './keras-model';
import { followCalls, type Wiring } from './keras-wiring';
import { type PartialSignature, type PartialSpec } from './partial-signature';
import { isOpenOrDimension, type Shape } from './tensor-shape';

/**
 * The inputs and outputs of a layers model under the names that TensorFlow.js gives them. Shapes of
 * outputs would take the arithmetic of every layer and are left open.
 */
export function kerasSignature(wiring: Wiring, faults: FaultLog): PartialSignature {
  return {
    inputs: inputsOf(wiring, faults),
    outputs: outputLayers(wiring, faults).map(({ name, path }) => ({
      name,
      path,
      dtype: undefined,
      shape: undefined,
    })),
  };
}

function inputsOf({ inputs }: Wiring, faults: FaultLog): readonly PartialSpec[] {
  return inputs.flatMap((layer) => {
    // Only a Sequential can begin with a model: its inputs are then that model's.
    if (layer.model) return inputsOf(followCalls(layer.model, faults), faults);
    const isInput = layer.className === 'InputLayer';
    return [
      {
        // TensorFlow.js puts an InputLayer of this name before a first layer that is none.
        name: isInput ? layer.name : `${layer.name}_input`,
        dtype: inputType(layer, faults),
        shape: inputShape(layer, faults),
        path: layer.path,
      },
    ];
  });
}

/** A Sequential that consists of one model has that model's outputs; else its last layer counts. */
function outputLayers(
  { inputs, outputs, layers }: Wiring,
  faults: FaultLog,
): readonly KerasLayer[] {
  const [only] = layers;
  if (layers.length === 1 && only?.model && inputs[0] === only) {
    return outputLayers(followCalls(only.model, faults), faults);
  }
  return outputs;
}

function inputType({ config, path }: KerasLayer, faults: FaultLog): DType {
  const dtype = member(config, 'dtype') ?? 'float32';
  if (typeof dtype === 'string' && Object.hasOwn(DTYPE_BYTES, dtype)) return dtype as DType;
  const shown = typeof dtype === 'string' ? quoted(dtype) : 'no text';
  faults.add(
    `${path}.config.dtype`,
    `an input is of one of the types ${Object.keys(DTYPE_BYTES).join(', ')}, not ${shown}`,
  );
  return 'float32';
}

function inputShape(layer: KerasLayer, faults: FaultLog): Shape {
  const { path, className } = layer;
  const written = batchShape(layer);
  if (written === null) {
    const way =
      className === 'InputLayer' ? 'an InputLayer' : 'the first layer of a Sequential model';
    faults.add(`${path}.config`, `${way} must have batch_input_shape or input_shape`);
    return [];
  }
  if (written.every(isOpenOrDimension)) return written.map((dimension) => dimension ?? -1);
  faults.add(`${path}.config`, 'the input shape holds something that is no dimension');
  return [];
}

/** What TensorFlow.js takes as the shape of an input, in the order in which it looks. */
export function batchShape({ className, config }: KerasLayer): readonly unknown[] | null {
  const whole = member(config, 'batchInputShape');
  if (Array.isArray(whole)) return asArray(whole);
  const batch = member(config, 'batchSize') ?? null;
  const row = member(config, 'inputShape');
  if (row !== null && row !== undefined) return [batch, ...listOrOne(row)];
  if (className === 'Dense') return shorthand(config, 'inputDim', batch);
  if (className === 'Embedding') {
    return shorthand(config, 'inputLength', batch) ?? [batch, null];
  }
  return null;
}

function shorthand(config: JsonObject, key: string, batch: unknown): readonly unknown[] | null {
  const value = member(config, key) ?? null;
  return value === null ? null : [batch, ...listOrOne(value)];
}

function listOrOne(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? asArray(value) : [value];
}
