import { elementCount, type Signature, type Tensor, type TensorSpec } from '../../common/tensor';
import { FaultList } from '../../predictions/fault-list';
import { type ParsedInputs } from '../../predictions/parse-inputs';
import { memberPath } from '../../predictions/input-path';
import { parseTensor } from '../../predictions/parse-tensor';
import { assertRows, isJsonObject, type JsonObject } from './tf-body';
import { showJson, TF_ELEMENTS } from './tf-elements';
import { BadRequestBodyError } from './tfserving.errors';

/**
 * Reads `examples` and `context` of classify and regress: features by the names of the inputs, each
 * a value or a flat list that is laid out in the shape that the input has for one row. What all
 * examples share may stand in the context; an example's own feature goes before it, and features
 * that the model does not take are passed over.
 *
 * @throws BadRequestBodyError, InputsMismatchError
 */
export function parseExamples(
  sent: JsonObject,
  method: string,
  { inputs: specs }: Signature,
): ParsedInputs {
  const { context = {}, examples } = sent;
  if (!isJsonObject(context)) throw notAnExample(context);
  if (examples === undefined) {
    throw new BadRequestBodyError(
      `When method is ${method}, key 'examples' is expected and was not found`,
    );
  }
  if (!Array.isArray(examples)) {
    throw new BadRequestBodyError(`Expecting 'examples' to be a list, got ${showJson(examples)}`);
  }
  assertRows(examples, 'examples');
  const rows = (examples as readonly unknown[]).map((example) => {
    if (!isJsonObject(example)) throw notAnExample(example);
    return { ...context, ...example };
  });
  const faults = new FaultList();
  const inputs = Object.fromEntries(
    specs.flatMap((spec) => {
      const tensor = parseFeature(rows, spec, faults);
      return tensor ? [[spec.name, tensor] as const] : [];
    }),
  );
  faults.throwIfAny(specs);
  return { inputs, rows: rows.length };
}

function notAnExample(value: unknown): BadRequestBodyError {
  return new BadRequestBodyError(`Example must be JSON object but got ${showJson(value)}`);
}

/** One feature of all examples; null after adding a fault. */
function parseFeature(
  rows: readonly JsonObject[],
  spec: TensorSpec,
  faults: FaultList,
): Tensor | null {
  const { name, dtype, shape } = spec;
  const pathOf = ([row = -1, ...rest]: readonly number[]): string =>
    row < 0
      ? 'examples'
      : memberPath(`examples[${row}]`, name) + rest.map((at) => `[${at}]`).join('');
  const known = faults.size;
  const lists = rows.map((row, place) => {
    const feature = row[name];
    if (feature === undefined) {
      faults.add(
        () => pathOf([place]),
        () => `is missing: feature ${name} stands neither in the example nor in the context`,
      );
    }
    return Array.isArray(feature) ? (feature as readonly unknown[]) : [feature];
  });
  if (faults.size > known) return null;
  const inner = innerShape(shape.slice(1), lists[0]?.length ?? 0);
  if (!inner) {
    faults.add(
      () => pathOf([0]),
      () => `has ${lists[0]?.length ?? 0} values, which do not fill [${shape.slice(1).join(', ')}]`,
    );
    return null;
  }
  const flat = { name, dtype, shape: [shape[0] ?? 1, elementCount(inner)] };
  const tensor = parseTensor(lists, flat, pathOf, faults, TF_ELEMENTS);
  return tensor && { ...tensor, shape: [rows.length, ...inner].slice(0, shape.length) };
}

/** The shape of a row, its open dimension settled by the number of values; null when they do not fit. */
function innerShape(shape: readonly number[], count: number): readonly number[] | null {
  const open = shape.filter((size) => size === -1).length;
  const fixed = elementCount(shape.filter((size) => size !== -1));
  if (open > 1 || (open === 1 && count % fixed !== 0)) return null;
  return shape.map((size) => (size === -1 ? count / fixed : size));
}
