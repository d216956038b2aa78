import { StoreError } from '../common/errors';
import { type NamedTensors, type Signature, type Tensor } from '../common/tensor';
import { type TensorValues, valuesOf } from '../common/tensor-values';
import { jsonSlice } from './tensor-json';

/** An output without one entry per row, asked for row by row. */
export class OutputNotPerRowError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'output_not_per_row';
}

/** How a prediction is asked for and answered: `instances` with `predictions`, `inputs` with `outputs`. */
export type PredictForm = 'rows' | 'columns';

export interface OutputsJson {
  /** In row form. */
  readonly predictions?: readonly unknown[] | undefined;
  /** In column form. */
  readonly outputs?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Outputs as nested lists, in the order of the signature.
 *
 * Row form cuts every output along its first dimension, which has to be the rows; an output of a
 * single row that has no such dimension belongs to that row as a whole.
 *
 * @throws OutputNotPerRowError
 */
export function outputsToJson(
  outputs: NamedTensors,
  signature: Signature,
  form: PredictForm,
  rows: number,
): OutputsJson {
  const named = inOrder(outputs, signature);
  if (form === 'columns') {
    return { outputs: Object.fromEntries(named.map(([name, tensor]) => [name, nest(tensor)])) };
  }
  const columns = named.map(([name, tensor]) => [name, cutRows(name, tensor, rows)] as const);
  const [only] = columns;
  if (columns.length === 1 && only) return { predictions: only[1] };
  return {
    predictions: Array.from({ length: rows }, (_, row) =>
      Object.fromEntries(columns.map(([name, values]) => [name, values[row]])),
    ),
  };
}

/** Outputs in the order of the signature, then any that it does not name. */
export function inOrder(outputs: NamedTensors, { outputs: specs }: Signature): [string, Tensor][] {
  const named = Object.entries(outputs);
  if (named.length < 2) return named;
  const places = new Map(specs.map(({ name }, place) => [name, place]));
  const placeOf = (name: string): number => places.get(name) ?? places.size;
  return named.sort(([a], [b]) => placeOf(a) - placeOf(b));
}

function cutRows(name: string, tensor: Tensor, rows: number): readonly unknown[] {
  const [first] = tensor.shape;
  if (first === rows) return nest(tensor) as readonly unknown[];
  if (rows === 1) return [nest(tensor)];
  throw new OutputNotPerRowError(
    `Output ${name} of shape [${tensor.shape.join(', ')}] has no entry for each of the ${rows} rows; send inputs instead of instances to get it whole`,
    { output: name, shape: tensor.shape, rows },
  );
}

function nest(tensor: Tensor): unknown {
  const values = valuesOf(tensor);
  if (tensor.shape.length === 0) return jsonSlice(values, 0, 1)[0];
  return nestFrom(values, tensor.shape, 0, 0, values.length);
}

function nestFrom(
  values: TensorValues,
  shape: readonly number[],
  level: number,
  start: number,
  count: number,
): readonly unknown[] {
  const size = shape[level] ?? 0;
  if (level === shape.length - 1) return jsonSlice(values, start, start + count);
  const each = size === 0 ? 0 : count / size;
  return Array.from({ length: size }, (_, index) =>
    nestFrom(values, shape, level + 1, start + index * each, each),
  );
}
