import { type NamedTensors, type Tensor, type TensorSpec } from '../common/tensor';
import { type LoadableVersion } from '../models/version';
import { type EngineName } from './engines/engine';

/** A tensor whose bytes lie in several places, in the order in which they are sent. */
export interface StackedTensor extends Omit<Tensor, 'data'> {
  readonly data: readonly Uint8Array[];
}

export type StackedTensors = Readonly<Record<string, StackedTensor>>;

/** How a request can share a call with others. */
export interface Stackable {
  readonly rows: number;
  /** Requests with equal keys stack: the same inputs, of the same types and sizes of a row. */
  readonly key: string;
}

/**
 * Whether rows of other requests may stand in one call with these inputs, or null.
 *
 * Only where the test load has shown that a row's outputs do not depend on its neighbours, and
 * only for elements of a fixed width: texts could not be told apart without reading them.
 */
export function stackable(
  { signature, engines }: LoadableVersion,
  engine: EngineName,
  inputs: NamedTensors,
): Stackable | null {
  if (engines[engine]?.rowsApart !== true) return null;
  if (![...signature.inputs, ...signature.outputs].every(hasRows)) return null;
  const parts: string[] = [];
  let rows: number | undefined;
  for (const [name, { dtype, shape }] of Object.entries(inputs)) {
    rows ??= shape[0];
    if (shape[0] !== rows) return null;
    parts.push(`${name} ${dtype} ${shape.slice(1).join(' ')}`);
  }
  return rows === undefined ? null : { rows, key: parts.sort().join() };
}

/** One set of inputs with the rows of all, in order; the bytes stay where they are. */
export function stackInputs(requests: readonly NamedTensors[]): StackedTensors {
  const stacked: Record<string, StackedTensor> = {};
  for (const [name, { dtype, shape }] of Object.entries(requests[0] ?? {})) {
    const tensors = requests.flatMap((inputs) => inputs[name] ?? []);
    const rows = tensors.reduce((sum, tensor) => sum + (tensor.shape[0] ?? 0), 0);
    stacked[name] = {
      dtype,
      shape: [rows, ...shape.slice(1)],
      data: tensors.map(({ data }) => data),
    };
  }
  return stacked;
}

/** The rows of all, one behind the other, copied to one place. */
export function joinRows(rows: readonly NamedTensors[]): NamedTensors {
  return Object.fromEntries(
    Object.entries(stackInputs(rows)).map(([name, { data, ...rest }]) => [
      name,
      { ...rest, data: new Uint8Array(Buffer.concat(data)) },
    ]),
  );
}

/**
 * The outputs of each request, views of what the call gave; null when what came out does not have
 * one row for each that went in.
 */
export function splitOutputs(
  outputs: NamedTensors,
  rows: readonly number[],
): readonly NamedTensors[] | null {
  const total = rows.reduce((sum, count) => sum + count, 0);
  const named = Object.entries(outputs);
  if (named.some(([, { dtype, shape }]) => shape[0] !== total || dtype === 'string')) return null;
  let start = 0;
  return rows.map((count) => {
    const from = start;
    start += count;
    return Object.fromEntries(
      named.map(([name, { dtype, shape, data }]): [string, Tensor] => {
        const rowBytes = data.byteLength / total;
        const own = data.subarray(from * rowBytes, start * rowBytes);
        return [name, { dtype, shape: [count, ...shape.slice(1)], data: own }];
      }),
    );
  });
}

function hasRows({ dtype, shape }: TensorSpec): boolean {
  return shape[0] === -1 && dtype !== 'string';
}
