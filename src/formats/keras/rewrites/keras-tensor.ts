import { asArray } from '../../json-value';
import { asMutable } from '../topology-json';

/** `[layer, call, tensor]`: one output of one call of a layer. */
export type History = readonly [string, number, number];

/** The tensor that a Keras 3 argument stands for, or null where it is no tensor. */
export function historyOf(argument: unknown): History | null {
  const tensor = asMutable(argument);
  if (tensor?.['class_name'] !== '__keras_tensor__') return null;
  const [layer, call, index] = asArray(asMutable(tensor['config'])?.['keras_history']);
  return typeof layer === 'string' && typeof call === 'number' && typeof index === 'number'
    ? [layer, call, index]
    : null;
}

/** One call of a layer in the form of Keras 3. */
export interface Call {
  readonly tensors: readonly History[];
  /** Positional arguments that are no tensors. */
  readonly constants: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** Reads `{ args, kwargs }`; null for a call in the older form. */
export function readCall(node: unknown): Call | null {
  const call = asMutable(node);
  if (!call || !Array.isArray(call['args'])) return null;
  const leaves = (call['args'] as unknown[]).flat(Infinity);
  const tensors = leaves.map(historyOf);
  return {
    tensors: tensors.filter((tensor) => tensor !== null),
    constants: leaves.filter((leaf, index) => tensors[index] === null && leaf !== null),
    kwargs: asMutable(call['kwargs']) ?? {},
  };
}
