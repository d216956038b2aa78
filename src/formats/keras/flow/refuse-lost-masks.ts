import { type FaultLog, quoted } from '../../fault-log';
import { CONVERT_TO_GRAPH } from '../../graph-form';
import { member } from '../../json-value';
import { type KerasLayer, type KerasModel } from '../../keras-model';
import { type FlowRule, followTensors, type Through } from './layer-flow';

/** Of a tensor: without a mask, with the same mask in both libraries, with one in Keras only. */
const NONE = 0;
const SAME = 1;
const LOST = 2;
/**
 * From here on: with the same mask, and with zeros in Keras where it masks. Which layer made them is
 * the number beyond this one. Recurrences skip those steps, anything else would see the difference.
 */
const ZEROED = 3;

/** Layers that hand a mask on in TensorFlow.js and do not look at it. Keras has nearly all do so. */
const PASSES_ON = new Set([
  'Activation',
  'AlphaDropout',
  'BatchNormalization',
  'Dense',
  'Dropout',
  'GaussianDropout',
  'GaussianNoise',
  'InputLayer',
  'LayerNormalization',
  'PReLU',
  'ReLU',
  'SpatialDropout1D',
]);
const RECURRENT = /^(?:SimpleRNN|GRU|LSTM|RNN)$/;

/**
 * Refuses layers that look at a mask in Keras and would see none in TensorFlow.js, or would do
 * something else with it. A mask that is lost where nothing looks at it changes nothing.
 *
 * `masked` holds the configurations of layers that the file gives a mask of its own accord.
 */
export function refuseLostMasks(
  model: KerasModel,
  masked: WeakSet<object>,
  faults: FaultLog,
): void {
  const refused = new Set<string>();
  const zeroing: KerasLayer[] = [];
  const places = new Map<KerasLayer, number>();
  const refuse = (layer: KerasLayer, what: string): void => {
    if (refused.has(layer.path)) return;
    refused.add(layer.path);
    faults.add(
      layer.path,
      `the layer ${quoted(layer.name)} (${layer.className}) ${what}, which TensorFlow.js does not do. ${CONVERT_TO_GRAPH}`,
    );
  };
  const refuseZeros = (masks: readonly number[]): void => {
    for (const mask of masks) {
      const layer = zeroing[mask - ZEROED];
      if (layer) refuse(layer, 'answers zeros where its input is masked');
    }
  };
  const rule: FlowRule = (layer, inputs, through) => {
    if (!skipsMasked(layer)) refuseZeros(inputs);
    const what = faultOf(layer, inputs, masked.has(layer.config));
    if (what !== null) refuse(layer, what);
    if (!answersZeros(layer) || inputs[0] === NONE) return passOn(layer, inputs, through);
    const place = places.get(layer) ?? zeroing.push(layer) - 1;
    places.set(layer, place);
    return [ZEROED + place];
  };
  refuseZeros(followTensors(model, rule));
}

/** Whether a layer leaves each step by itself or passes over masked ones. */
function skipsMasked({ className, parts, model }: KerasLayer): boolean {
  if (className === 'TimeDistributed') return PASSES_ON.has(parts[0]?.className ?? '');
  return (
    !model &&
    (className === 'Bidirectional' || RECURRENT.test(className) || PASSES_ON.has(className))
  );
}

/** A Bidirectional has both of its directions do so. */
function answersZeros(layer: KerasLayer): boolean {
  const [part] = layer.parts;
  if (layer.className === 'Bidirectional')
    return part !== undefined && isSet(part, 'returnSequences');
  return isSet(layer, 'zeroOutputForMask') && isSet(layer, 'returnSequences');
}

/** What Keras does with the mask and TensorFlow.js does not; null where they do the same. */
function faultOf(layer: KerasLayer, inputs: readonly number[], isGiven: boolean): string | null {
  const { className, parts } = layer;
  const [part] = parts;
  const [first = NONE] = inputs;
  const looks =
    RECURRENT.test(className) ||
    /^(?:Bidirectional|ConvLSTM2D|GlobalAveragePooling1D|Softmax)$/.test(className);
  if (first === NONE) return looks && isGiven ? 'is given the mask of another layer' : null;
  if (className === 'TimeDistributed') {
    return part && PASSES_ON.has(part.className) ? null : 'hands a mask to the layer inside it';
  }
  if (!looks) return null;
  if (className === 'GlobalAveragePooling1D') return 'leaves masked steps out of the average';
  if (className === 'Softmax' || className === 'ConvLSTM2D') return 'looks at a mask';
  if (first === LOST) return 'looks at a mask that comes through other layers';
  if (className !== 'Bidirectional') return recurrentFault(layer, inputs);
  if (part?.className === 'ConvLSTM2D') return 'looks at a mask';
  return part ? recurrentFault(part, inputs) : null;
}

function recurrentFault(layer: KerasLayer, inputs: readonly number[]): string | null {
  if (isSet(layer, 'zeroOutputForMask') && !isSet(layer, 'returnSequences')) {
    return 'answers zeros where its input is masked';
  }
  if (inputs.length > 1) return 'begins in a given state and looks at a mask';
  const isStack = layer.parts.length > 1 || layer.parts[0]?.className === 'StackedRNNCells';
  return isStack ? 'looks at a mask with several cells' : null;
}

function passOn(layer: KerasLayer, inputs: readonly number[], through: Through): readonly number[] {
  const { className, parts, model } = layer;
  const [first = NONE] = inputs;
  // Masks do not cross the border of an inner model in TensorFlow.js, neither in nor out.
  const cross = (mask: number): number => (mask === NONE ? NONE : LOST);
  if (model) return through(model, inputs.map(cross)).map(cross);
  const [part] = parts;
  switch (className) {
    case 'Masking':
      return [SAME];
    case 'Embedding':
      return [isSet(layer, 'maskZero') ? SAME : NONE];
    case 'Concatenate':
      return [inputs.includes(LOST) ? LOST : inputs.includes(SAME) ? SAME : NONE];
    case 'Dot':
      return [NONE];
    case 'TimeDistributed': {
      const inner = part ? passOn(part, [first], through) : [];
      return [first === NONE ? cross(inner[0] ?? NONE) : first];
    }
    case 'Bidirectional':
      return [NONE];
    default:
  }
  // Where nothing zeroes them, masked steps repeat the one before, whatever came in.
  if (RECURRENT.test(className)) {
    return [isSet(layer, 'returnSequences') ? Math.min(first, SAME) : NONE];
  }
  if (PASSES_ON.has(className)) return [first];
  return [inputs.every((mask) => mask === NONE) ? NONE : LOST];
}

function isSet({ config }: KerasLayer, key: string): boolean {
  return member(config, key) === true;
}
