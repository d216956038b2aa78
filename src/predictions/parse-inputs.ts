import { type NamedTensors, type Signature, type Tensor, type TensorSpec } from '../common/tensor';
import { FaultList } from './fault-list';
import { indexPath, memberPath } from './input-path';
import { NATIVE_ELEMENTS } from './native-elements';
import { describeSpec, parseTensor } from './parse-tensor';

/** More rows than this are a job for several requests: their outputs have to fit memory, too. */
export const MAX_ROWS = 4096;

/** The inputs of one prediction. */
export interface ParsedInputs {
  readonly inputs: NamedTensors;
  /** How many examples they hold; 1 where the model knows no batches. */
  readonly rows: number;
}

type Values = ReadonlyMap<string, unknown>;

/**
 * Reads `instances`: a list with one element per row, which is the bare value of the only input or
 * an object by input name. Rows are stacked along the first dimension.
 *
 * @throws InputsMismatchError with every fault
 */
export function parseRows(instances: unknown, { inputs: specs }: Signature): ParsedInputs {
  const faults = new FaultList();
  const rows = checkRows(instances, faults) ? instances : [];
  const tensors: [string, Tensor][] = [];
  if (rows.length > 0) {
    for (const [spec, values] of splitRows(rows, specs, faults)) {
      if (spec.shape.length === 0) {
        faults.add(
          () => 'instances',
          () => `cannot carry ${describeSpec(spec)}, which takes one value; send inputs instead`,
        );
        continue;
      }
      const tensor = parseTensor(values.list, spec, values.pathOf, faults, NATIVE_ELEMENTS);
      if (tensor) tensors.push([spec.name, tensor]);
    }
  }
  faults.throwIfAny(specs);
  return { inputs: Object.fromEntries(tensors), rows: rows.length };
}

/**
 * Reads `inputs`: one whole tensor per input, as the bare value of the only input or as an object
 * by input name.
 *
 * @throws InputsMismatchError with every fault
 */
export function parseColumns(inputs: unknown, { inputs: specs }: Signature): ParsedInputs {
  const faults = new FaultList();
  const values = readValues(inputs, specs, 'inputs', faults);
  const bare = !isObject(inputs);
  const pathOf = (name: string): string => (bare ? 'inputs' : memberPath('inputs', name));
  const tensors: [string, Tensor][] = [];
  for (const spec of specs) {
    if (!values.has(spec.name)) continue;
    const root = pathOf(spec.name);
    const tensor = parseTensor(
      values.get(spec.name),
      spec,
      (indices) => indexPath(root, indices),
      faults,
      NATIVE_ELEMENTS,
    );
    if (tensor) tensors.push([spec.name, tensor]);
  }
  const parsed = Object.fromEntries(tensors);
  const rows = countRows(parsed, specs, pathOf, faults);
  faults.throwIfAny(specs);
  return { inputs: parsed, rows };
}

/**
 * How many examples whole tensors hold; a fault where they disagree or are more than are taken.
 *
 * @param pathOf says where the caller sent an input
 */
export function countRows(
  inputs: NamedTensors,
  specs: readonly TensorSpec[],
  pathOf: (name: string) => string,
  faults: FaultList,
): number {
  let rows: { readonly count: number; readonly of: string } | undefined;
  for (const { name, shape } of specs) {
    const tensor = inputs[name];
    if (!tensor || shape[0] !== -1) continue;
    const count = tensor.shape[0] ?? 1;
    const first = (rows ??= { count, of: name });
    if (count !== first.count) {
      faults.add(
        () => pathOf(name),
        () => `has ${count} rows, but ${first.of} has ${first.count}`,
      );
    } else if (count > MAX_ROWS) {
      faults.add(
        () => pathOf(name),
        () => `has ${count} rows, at most ${MAX_ROWS} are taken at once`,
      );
    }
  }
  return rows?.count ?? Object.values(inputs)[0]?.shape[0] ?? 1;
}

function checkRows(instances: unknown, faults: FaultList): instances is readonly unknown[] {
  const message = !Array.isArray(instances)
    ? 'must be a list with one element per row'
    : instances.length === 0
      ? 'must have at least one row'
      : instances.length > MAX_ROWS
        ? `has ${instances.length} rows, at most ${MAX_ROWS} are taken at once`
        : null;
  if (message === null) return true;
  faults.add(
    () => 'instances',
    () => message,
  );
  return false;
}

interface RowValues {
  readonly list: readonly unknown[];
  readonly pathOf: (indices: readonly number[]) => string;
}

/** The values of each input over all rows. */
function splitRows(
  rows: readonly unknown[],
  specs: readonly TensorSpec[],
  faults: FaultList,
): Map<TensorSpec, RowValues> {
  const [only] = specs;
  if (specs.length === 1 && only && !rows.some(isObject)) {
    return new Map([[only, { list: rows, pathOf: (at) => indexPath('instances', at) }]]);
  }
  const known = faults.size;
  const values = rows.map((row, index) => readValues(row, specs, `instances[${index}]`, faults));
  // A row that lacks an input would be told twice that something is wrong with it.
  if (faults.size > known) return new Map();
  return new Map(
    specs.map((spec) => [
      spec,
      {
        list: values.map((row) => row.get(spec.name)),
        pathOf: ([row = -1, ...rest]) => {
          if (row < 0) return 'instances';
          const parent = `instances[${row}]`;
          return indexPath(isObject(rows[row]) ? memberPath(parent, spec.name) : parent, rest);
        },
      },
    ]),
  );
}

/** The values by input name; `:0` behind a name is taken off, unknown and missing names are faults. */
function readValues(
  given: unknown,
  specs: readonly TensorSpec[],
  path: string,
  faults: FaultList,
): Values {
  const values = new Map<string, unknown>();
  const [only] = specs;
  const names = specs.map(({ name }) => name).join(', ');
  if (!isObject(given)) {
    if (specs.length === 1 && only) return values.set(only.name, given);
    faults.add(
      () => path,
      () => `must be an object with the inputs ${names}`,
    );
    return values;
  }
  for (const [key, value] of Object.entries(given)) {
    const name = key.replace(/:0$/, '');
    if (!specs.some((spec) => spec.name === name)) {
      faults.add(
        () => memberPath(path, key),
        () => `is no input of the model, which takes ${names}`,
      );
    } else if (values.has(name)) {
      faults.add(
        () => memberPath(path, key),
        () => 'is given twice, with and without :0',
      );
    } else values.set(name, value);
  }
  for (const spec of specs) {
    if (!values.has(spec.name)) {
      faults.add(
        () => memberPath(path, spec.name),
        () => `is missing (${describeSpec(spec)})`,
      );
    }
  }
  return values;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
