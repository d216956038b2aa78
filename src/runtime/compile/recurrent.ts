import { NotCompiledError } from '../runtime.errors';
import { type Constant, constantOf, filled, permuted, reshaped, scalar } from './constant';
import { gatesOf, joined, rounded } from './constant-steps';
import { cast, multiply, scale } from './elementwise';
import { type GraphBuilder } from './graph-builder';
import { reduce } from './reductions';
import { padBorders, slice, transpose } from './shapes';
import { range, type Value } from './value';

export type CellKind = 'RNN' | 'GRU' | 'LSTM';

/** A recurrent cell with its weights as Keras lays them out: gates side by side. */
export interface Cell {
  readonly kind: CellKind;
  readonly kernel: Constant;
  readonly recurrentKernel: Constant;
  readonly bias: Constant | undefined;
  readonly activation: string;
  readonly recurrentActivation: string;
}

export interface Unrolled {
  /** `[batch, time, units]`: the state after each step. */
  readonly sequence: Value;
  readonly states: readonly Value[];
}

/** Where ONNX has the gates of Keras: input, output, forget, cell instead of i, f, c, o. */
const GATES: Readonly<Record<CellKind, readonly number[]>> = {
  RNN: [0],
  GRU: [0, 1, 2],
  LSTM: [0, 3, 1, 2],
};

const ACTIVATIONS: Readonly<Record<string, string>> = {
  tanh: 'Tanh',
  sigmoid: 'Sigmoid',
  hard_sigmoid: 'HardSigmoid',
  relu: 'Relu',
  elu: 'Elu',
  softsign: 'Softsign',
  softplus: 'Softplus',
};

/** What times are worth against a mask when steps are sorted; both stay exact in float32. */
const FIRST = 2 ** 20;

/**
 * RNN-14, GRU-14, LSTM-14 from zero states.
 *
 * A masked step leaves the state as it is. That is the same as leaving the step out: the steps that
 * count are moved to the front, run as a sequence of that length, and their states dealt out again.
 *
 * @param mask `[batch, time]`, true where a step counts
 */
export function recur(
  b: GraphBuilder,
  x: Value,
  cell: Cell,
  backwards: boolean,
  mask: Value | undefined,
): Unrolled {
  const forward = backwards ? reversed(b, x) : x;
  if (!mask) return run(b, forward, cell, undefined);
  const counting = backwards ? reversed(b, mask) : mask;
  const counts = cast(b, counting, 'int32');
  const lengths = reduce(b, counts, 'Sum', [1], false);
  const packed = atSteps(b, forward, countingFirst(b, counting));
  const { sequence, states } = run(b, packed, cell, lengths);
  // The state after a step is the one after as many counting steps as there have been.
  const withStart = padBorders(b, sequence, [
    [0, 0],
    [1, 0],
    [0, 0],
  ]);
  const soFar = b.emit('CumSum', 14, [b.last(counts), b.index(1)]);
  const places: Value = { dtype: 'int32', shape: counts.shape, names: { last: soFar } };
  return { sequence: atSteps(b, withStart, places), states };
}

export function reversed(b: GraphBuilder, x: Value): Value {
  return slice(b, x, [{ axis: 1, from: -1, to: -(2 ** 31), step: -1 }]);
}

function run(b: GraphBuilder, x: Value, cell: Cell, lengths: Value | undefined): Unrolled {
  const { kind, kernel, recurrentKernel, bias } = cell;
  const gates = GATES[kind];
  const units = recurrentKernel.shape[0] ?? 1;
  const zeros = filled(scalar(0), [gates.length * units]);
  const outputs = b.emitMany(
    kind,
    14,
    [
      b.last(transpose(b, x, [1, 0, 2])),
      b.weights(oneDirection(gatesOf(permuted(kernel, [1, 0]), gates))),
      b.weights(oneDirection(gatesOf(permuted(recurrentKernel, [1, 0]), gates))),
      b.weights(oneDirection(rounded(joined([gatesOf(bias ?? zeros, gates), zeros])))),
      lengths ? b.last(lengths) : '',
    ],
    { hidden_size: { int: units }, activations: { texts: activations(cell) } },
    kind === 'LSTM' ? 3 : 2,
  );
  const [all = '', ...finals] = outputs;
  const [batch = -1, time = -1] = x.shape;
  // From [time, directions, batch, units].
  const steps = b.emit('Squeeze', 13, [all, b.list([1])]);
  const byTime: Value = { dtype: 'float32', shape: [time, batch, units], names: { last: steps } };
  return {
    sequence: transpose(b, byTime, [1, 0, 2]),
    states: finals.map((name) => ({
      dtype: 'float32',
      shape: [batch, units],
      names: { last: b.emit('Squeeze', 13, [name, b.list([0])]) },
    })),
  };
}

function activations({ kind, activation, recurrentActivation }: Cell): string[] {
  const used = {
    RNN: [activation],
    GRU: [recurrentActivation, activation],
    LSTM: [recurrentActivation, activation, activation],
  }[kind];
  return used.map((name) => {
    const known = ACTIVATIONS[name];
    if (known === undefined) throw new NotCompiledError(`${kind} with ${name} is not compiled`);
    return known;
  });
}

/** The steps that count before the others, each kind in order of time; TopK-11. */
function countingFirst(b: GraphBuilder, mask: Value): Value {
  const time = mask.shape[1] ?? -1;
  if (time < 0) throw new NotCompiledError('Masked sequences of open length are not compiled');
  const times = b.constant(
    constantOf(
      'float32',
      [1, time],
      range(0, time).map((step) => -step),
    ),
  );
  const first = scale(b, cast(b, mask, 'float32'), FIRST);
  const rank = b.emit('Add', 14, [b.last(first), b.last(times)]);
  const [, order = ''] = b.emitMany('TopK', 11, [rank, b.list([time])], { axis: { int: 1 } }, 2);
  const name = b.emit('Cast', 13, [order], { to: { int: 6 } });
  return { dtype: 'int32', shape: mask.shape, names: { last: name } };
}

/** GatherND-13 within each row of the batch. */
function atSteps(b: GraphBuilder, x: Value, steps: Value): Value {
  const wide = b.emit('Cast', 13, [b.last(steps)], { to: { int: 7 } });
  const indices = b.emit('Unsqueeze', 13, [wide, b.list([2])]);
  const name = b.emit('GatherND', 13, [b.last(x), indices], { batch_dims: { int: 1 } });
  const shape = [x.shape[0] ?? -1, steps.shape[1] ?? -1, ...x.shape.slice(2)];
  return { dtype: x.dtype, shape, names: { last: name } };
}

function oneDirection(constant: Constant): Constant {
  return reshaped(constant, [1, ...constant.shape]);
}

/** Steps of masked rows are zero, which is what Masking makes of them. */
export function keepCounting(b: GraphBuilder, x: Value, mask: Value): Value {
  return multiply(b, x, cast(b, mask, x.dtype));
}
