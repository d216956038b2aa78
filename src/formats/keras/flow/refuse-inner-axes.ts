import { type FaultLog, quoted } from '../../fault-log';
import { CONVERT_TO_GRAPH } from '../../graph-form';
import { asArray, member } from '../../json-value';
import { type KerasLayer, type KerasModel } from '../../keras-model';
import { batchShape } from '../../keras-signature';
import { followTensors, type Through } from './layer-flow';

/**
 * Refuses a BatchNormalization along another axis than the last: TensorFlow.js takes means and
 * variances for the wrong elements then. Keras 2 counts axes from the front, so it takes the number
 * of dimensions to tell which one is the last; where that is not known, nothing is refused.
 */
export function refuseInnerAxes(model: KerasModel, faults: FaultLog): void {
  const refused = new Set<string>();
  const ranksOf = (
    layer: KerasLayer,
    inputs: readonly number[],
    through: Through,
  ): readonly number[] => {
    const [first = 0] = inputs;
    const rank = first === 0 ? (batchShape(layer)?.length ?? 0) : first;
    if (normalisesInside(layer, rank) && !refused.has(layer.path)) {
      refused.add(layer.path);
      faults.add(
        `${layer.path}.config.axis`,
        `the layer ${quoted(layer.name)} (BatchNormalization) normalises along another axis than the last, which TensorFlow.js does not do. ${CONVERT_TO_GRAPH}`,
      );
    }
    if (layer.model) return through(layer.model, inputs);
    const [part] = layer.parts;
    if (layer.className === 'TimeDistributed' && part) {
      const [inner = 0] = ranksOf(part, [Math.max(0, rank - 1)], through);
      return [inner === 0 ? 0 : inner + 1];
    }
    return outputRanks(layer, rank, inputs);
  };
  followTensors(model, ranksOf);
}

function normalisesInside({ className, config }: KerasLayer, rank: number): boolean {
  if (className !== 'BatchNormalization') return false;
  const axes = [member(config, 'axis') ?? -1].flat();
  const [axis] = axes;
  if (axes.length !== 1 || typeof axis !== 'number') return true;
  return axis < 0 ? axis !== -1 : rank > 0 && axis !== rank - 1;
}

/** The numbers of dimensions that a layer gives, 0 where that is not known. */
function outputRanks(
  { className, config, parts }: KerasLayer,
  rank: number,
  inputs: readonly number[],
): readonly number[] {
  const states = (first: number, state: number): number[] => [first, state, state, state, state];
  const recurrent = className === 'Bidirectional' ? parts[0] : undefined;
  const returnsSequences = member(recurrent?.config ?? config, 'returnSequences') === true;
  switch (recurrent?.className ?? className) {
    case 'Flatten':
    case 'GlobalAveragePooling1D':
    case 'GlobalAveragePooling2D':
    case 'GlobalMaxPooling1D':
    case 'GlobalMaxPooling2D':
      return [2];
    case 'RepeatVector':
      return [3];
    case 'Reshape':
      return [asArray(member(config, 'targetShape')).length + 1];
    case 'Embedding':
      return [rank === 0 ? 0 : rank + 1];
    case 'SimpleRNN':
    case 'GRU':
    case 'LSTM':
    case 'RNN':
      return states(returnsSequences ? 3 : 2, 2);
    case 'ConvLSTM2D':
      return states(returnsSequences ? 5 : 4, 4);
    case 'Dot':
      return [inputs.includes(0) ? 0 : Math.max(2, sum(inputs) - 3)];
    default:
      // Layers that merge tensors of different ranks give the highest of them.
      return [inputs.length > 1 ? highest(inputs) : rank];
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function highest(ranks: readonly number[]): number {
  return ranks.reduce((most, rank) => (rank === 0 || most === 0 ? 0 : Math.max(most, rank)));
}
