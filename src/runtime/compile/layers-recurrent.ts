import { NotCompiledError } from '../runtime.errors';
import { add, multiply, scale } from './elementwise';
import {
  LayerConfig,
  type LayerCall,
  type LayerCompiler,
  type LayerJson,
  type LayerWeights,
  onlyInput,
} from './layer-call';
import { type CellKind, recur, reversed } from './recurrent';
import { concat, reshape } from './shapes';
import { type Value } from './value';

const KINDS: Readonly<Record<string, CellKind>> = { SimpleRNN: 'RNN', GRU: 'GRU', LSTM: 'LSTM' };

const recurrent: LayerCompiler = (call) => {
  const { config, weights } = call;
  return recurrentOutputs(call, config, weights, config.flag('go_backwards'));
};

function recurrentOutputs(
  call: LayerCall,
  config: LayerConfig,
  weights: LayerWeights,
  backwards: boolean,
): Value[] {
  const kind = KINDS[config.className];
  if (!kind) throw new NotCompiledError(`Layer ${config.className} is not compiled here`);
  if (kind === 'GRU' && config.flag('reset_after')) {
    throw new NotCompiledError('GRU with reset_after is not compiled');
  }
  const cell = {
    kind,
    kernel: weights.get('kernel'),
    recurrentKernel: weights.get('recurrent_kernel'),
    bias: weights.find('bias'),
    activation: config.activation('activation', 'tanh'),
    recurrentActivation: config.activation('recurrent_activation', 'hard_sigmoid'),
  };
  const { sequence, states } = recur(call.b, onlyInput(call), cell, backwards, call.mask);
  const [last] = states;
  if (!last) throw new NotCompiledError(`${kind} without states is not compiled`);
  const output = config.flag('return_sequences') ? sequence : last;
  return config.flag('return_state') ? [output, ...states] : [output];
}

const bidirectional: LayerCompiler = (call) => {
  const { b, config, weights } = call;
  const layer = innerLayer(config);
  const inner = new LayerConfig(layer.class_name, layer.config);
  const name = inner.text('name', '');
  const backwards = inner.flag('go_backwards');
  const ways = [
    { scope: `forward_${name}`, backwards },
    { scope: `backward_${name}`, backwards: !backwards },
  ].map((way) => recurrentOutputs(call, inner, weights.within(way.scope), way.backwards));
  const [[forth, ...forthStates] = [], [back, ...backStates] = []] = ways;
  if (!forth || !back) throw new NotCompiledError('Bidirectional without outputs is not compiled');
  const inTime = inner.flag('return_sequences') ? reversed(b, back) : back;
  const states = [...forthStates, ...backStates];
  return [...merged(call, config.raw('merge_mode'), forth, inTime), ...states];
};

function merged({ b }: LayerCall, mode: unknown, x: Value, y: Value): Value[] {
  switch (mode) {
    case 'concat':
    case undefined:
      return [concat(b, [x, y], -1)];
    case 'sum':
      return [add(b, x, y)];
    case 'ave':
      return [scale(b, add(b, x, y), 0.5)];
    case 'mul':
      return [multiply(b, x, y)];
    case null:
      return [x, y];
    default:
      throw new NotCompiledError(`Bidirectional with merge mode ${String(mode)} is not compiled`);
  }
}

/** All steps of all rows as one large batch. */
const timeDistributed: LayerCompiler = (call) => {
  const { b, config, weights, inner } = call;
  const x = onlyInput(call);
  const [batch = -1, time = -1, ...rest] = x.shape;
  if (time < 0 || rest.includes(-1)) {
    throw new NotCompiledError('TimeDistributed over open sizes is not compiled');
  }
  const rows = reshape(b, x, [batch < 0 ? -1 : batch * time, ...rest]);
  const [output] = inner(innerLayer(config), weights, [rows]);
  if (!output) throw new NotCompiledError('TimeDistributed without an output is not compiled');
  return reshape(b, output, [batch, time, ...output.shape.slice(1)]);
};

export const RECURRENT_LAYERS: Readonly<Record<string, LayerCompiler>> = {
  SimpleRNN: recurrent,
  GRU: recurrent,
  LSTM: recurrent,
  Bidirectional: bidirectional,
  TimeDistributed: timeDistributed,
};

function innerLayer(config: LayerConfig): LayerJson {
  const layer = config.raw('layer');
  if (typeof layer === 'object' && layer !== null && 'class_name' in layer && 'config' in layer) {
    return layer as LayerJson;
  }
  throw new NotCompiledError(`${config.className} without a layer is not compiled`);
}
