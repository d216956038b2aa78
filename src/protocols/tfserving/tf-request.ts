import { type NamedTensors, type Signature, type TensorSpec } from '../../common/tensor';
import { FaultList } from '../../predictions/fault-list';
import { indexPath, memberPath } from '../../predictions/input-path';
import { type PredictForm } from '../../predictions/outputs-json';
import { MAX_ROWS } from '../../predictions/parse-inputs';
import { describeSpec, parseTensor, type PathOf } from '../../predictions/parse-tensor';
import { readQuickInputs } from '../../predictions/quick-request';
import { parseFirstJson } from './first-json';
import { type TfMethod } from './tf-address';
import { isBase64Object, showJson, TF_ELEMENTS, TF_TYPES } from './tf-elements';
import { assertRows, isJsonObject, type JsonObject } from './tf-body';
import { parseExamples } from './tf-examples';
import { BadRequestBodyError, UnimplementedError, UnknownSignatureError } from './tfserving.errors';

/** The one signature that a version has here. */
export const SERVING_SIGNATURE = 'serving_default';

/** What it takes to read a body. */
export interface TfContext {
  readonly method: TfMethod;
  readonly signature: Signature;
}

/** A request, understood. */
export interface TfRequest {
  readonly inputs: NamedTensors;
  readonly rows: number;
  readonly form: PredictForm;
}

/**
 * Reads the body of predict, classify or regress, on whatever thread.
 *
 * @throws BadJsonError, JsonTooComplexError, BadRequestBodyError, UnknownSignatureError,
 * UnimplementedError, and InputsMismatchError with every fault of the tensors
 */
export function readTfRequest(body: Buffer, { method, signature }: TfContext): TfRequest {
  // Numbers of one float32 input mean the same here as in the native API.
  const quick = method === 'predict' ? readQuickInputs(body, signature) : null;
  if (quick) {
    const { others, ...request } = quick;
    assertSignature(others['signature_name']);
    return request;
  }
  const hasIntegers = signature.inputs.some(({ dtype }) => INTEGERS.has(dtype));
  const sent = parseFirstJson(body, hasIntegers);
  if (!isJsonObject(sent)) {
    throw new BadRequestBodyError(`JSON Value: ${showJson(sent)} Is not object`);
  }
  assertSignature(sent['signature_name']);
  if (method !== 'predict') {
    return { ...parseExamples(sent, method, signature), form: 'rows' };
  }
  const isRows = Object.hasOwn(sent, 'instances');
  if (isRows && Object.hasOwn(sent, 'inputs')) {
    throw new BadRequestBodyError(
      "Not formatted correctly: expecting only one of 'inputs' or 'instances' keys to exist",
    );
  }
  if (isRows) return { ...parseInstances(sent['instances'], signature), form: 'rows' };
  if (Object.hasOwn(sent, 'inputs')) {
    return { ...parseNamedInputs(sent['inputs'], signature), form: 'columns' };
  }
  throw new BadRequestBodyError("Missing 'inputs' or 'instances' key");
}

const INTEGERS: ReadonlySet<string> = new Set(['int32', 'int64', 'uint8']);

/** @throws BadRequestBodyError, UnknownSignatureError */
function assertSignature(name: unknown): void {
  if (name === undefined || name === '' || name === SERVING_SIGNATURE) return;
  if (typeof name !== 'string') {
    throw new BadRequestBodyError(
      `JSON Value: ${showJson(name)} not formatted correctly. 'signature_name' key must be a string value.`,
    );
  }
  throw new UnknownSignatureError(
    `Serving signature name: ${showJson(name)} not found in signature def`,
    [],
    { known: [SERVING_SIGNATURE] },
  );
}

type Parsed = Omit<TfRequest, 'form'>;

/** Row form: one element for each row, which all have to agree. */
function parseInstances(instances: unknown, { inputs: specs }: Signature): Parsed {
  if (!Array.isArray(instances)) {
    throw new BadRequestBodyError(`Expecting 'instances' to be a list, got ${showJson(instances)}`);
  }
  const rows = instances as readonly unknown[];
  assertRows(rows, 'instances');
  const half = specs.find(isHalf);
  if (half) throw new BadRequestBodyError(halfFault(half));
  const isNamed = isNamedRow(rows[0]);
  if (!isNamed && specs.length !== 1) {
    throw new BadRequestBodyError(
      `instances is a plain list, but expecting a list of objects, as there are several inputs: ${namesOf(specs)}`,
    );
  }
  rows.forEach((row, place) => {
    assertRow(row, place, isNamed, specs);
  });
  const faults = new FaultList();
  const inputs = Object.fromEntries(
    specs.flatMap((spec) => {
      const values = isNamed ? rows.map((row) => (row as JsonObject)[spec.name]) : rows;
      const pathOf: PathOf = ([row = -1, ...rest]) => {
        const path = row < 0 ? 'instances' : `instances[${row}]`;
        return indexPath(isNamed && row >= 0 ? memberPath(path, spec.name) : path, rest);
      };
      if (spec.shape.length === 0) {
        faults.add(
          () => 'instances',
          () => `cannot carry ${describeSpec(spec)}, which takes one value; send inputs instead`,
        );
        return [];
      }
      const tensor = parseTensor(values, spec, pathOf, faults, TF_ELEMENTS);
      return tensor ? [[spec.name, tensor] as const] : [];
    }),
  );
  faults.throwIfAny(specs);
  return { inputs, rows: rows.length };
}

/** Every element is of the kind that the first one is, and names all inputs and nothing else. */
function assertRow(
  row: unknown,
  place: number,
  isNamed: boolean,
  specs: readonly TensorSpec[],
): void {
  if (!isNamedRow(row)) {
    if (!isNamed) return;
    throw new BadRequestBodyError(
      `Expecting object but got ${showJson(row)} at item ${place} of input list`,
    );
  }
  if (!isNamed) {
    throw new BadRequestBodyError(
      `Expecting value/list but got object at item ${place} of input list`,
    );
  }
  const keys = Object.keys(row);
  if (keys.length === specs.length && specs.every(({ name }) => Object.hasOwn(row, name))) return;
  throw new BadRequestBodyError(
    `Failed to process element: ${place} of 'instances' list. JSON object: ${showJson(row)} keys must be equal to: ${namesOf(specs)}`,
  );
}

/** Column form: each input as a whole. */
function parseNamedInputs(given: unknown, { inputs: specs }: Signature): Parsed {
  const isPlain = !isNamedRow(given);
  if (isPlain && specs.length !== 1) {
    throw new BadRequestBodyError(
      `inputs is a plain value/list, but expecting an object, as there are several inputs: ${namesOf(specs)}`,
    );
  }
  const faults = new FaultList();
  let rows: number | undefined;
  const inputs = Object.fromEntries(
    specs.flatMap((spec) => {
      const { name } = spec;
      if (!isPlain && !Object.hasOwn(given, name)) {
        throw new BadRequestBodyError(`Missing named input: ${name} in 'inputs' object.`);
      }
      if (isHalf(spec)) throw new UnimplementedError(halfFault(spec));
      const root = isPlain ? 'inputs' : memberPath('inputs', name);
      const pathOf: PathOf = (indices) => indexPath(root, indices);
      const value = isPlain ? given : given[name];
      const tensor = parseTensor(value, spec, pathOf, faults, TF_ELEMENTS);
      if (!tensor) return [];
      const [count = 1] = tensor.shape;
      if (spec.shape[0] === -1) {
        if (count > MAX_ROWS) {
          faults.add(
            () => root,
            () => `has ${count} rows, at most ${MAX_ROWS} are taken at once`,
          );
        }
        rows ??= count;
      }
      return [[name, tensor] as const];
    }),
  );
  faults.throwIfAny(specs);
  return { inputs, rows: rows ?? Object.values(inputs)[0]?.shape[0] ?? 1 };
}

function isNamedRow(value: unknown): value is JsonObject {
  return isJsonObject(value) && !isBase64Object(value);
}

function isHalf({ dtype }: TensorSpec): boolean {
  return dtype === 'float16';
}

function halfFault({ name, dtype }: TensorSpec): string {
  return `Conversion of JSON to type: ${TF_TYPES[dtype]} (input ${name}) is not implemented`;
}

function namesOf(specs: readonly TensorSpec[]): string {
  return specs
    .map(({ name }) => name)
    .sort()
    .join(',');
}
