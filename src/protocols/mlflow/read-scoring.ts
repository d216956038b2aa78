import { BadSyntaxError, InvalidInputError } from '../../common/errors';
import { type Signature } from '../../common/tensor';
import { parseStrictJson } from '../../http/strict-json';
import { type ReadBody } from '../../predictions/body-reader';
import { type PredictForm } from '../../predictions/outputs-json';
import { parseColumns, parseRows } from '../../predictions/parse-inputs';
import { readQuickRequest } from '../../predictions/quick-request';

/** What of a request says the inputs: exactly one of them. */
const FORMS = ['dataframe_split', 'dataframe_records', 'instances', 'inputs'] as const;
type Form = (typeof FORMS)[number];

/** A request for scores, understood. */
export interface ScoringRequest extends ReadBody {
  readonly rows: number;
  readonly form: PredictForm;
}

/** A table: what its columns are called, and its cells row by row. */
interface Table {
  readonly columns: readonly string[];
  readonly data: readonly (readonly unknown[])[];
}

/**
 * Reads a body of the MLflow scorer, on whatever thread.
 *
 * @throws BadJsonError, BadSyntaxError; InvalidInputError with every fault of the inputs
 */
export function readScoring(body: Buffer, signature: Signature): ScoringRequest {
  const quick = readQuickRequest(body, signature);
  // An id and tags are the native API's: here they mean nothing.
  const isPlain = quick?.callerId === undefined && Object.keys(quick?.tags ?? {}).length === 0;
  if (quick && isPlain) return { inputs: quick.inputs, rows: quick.rows, form: quick.form };
  const sent = parseStrictJson(body);
  if (!isRecord(sent)) throw new BadSyntaxError('The body must be a JSON object');
  const form = formOf(sent);
  const given = sent[form];
  switch (form) {
    case 'inputs':
      return { ...parseColumns(given, signature), form: 'columns' };
    case 'instances':
      return { ...parseRows(given, signature), form: 'rows' };
    case 'dataframe_split':
      return { ...parseRows(toInstances(splitTable(given), signature), signature), form: 'rows' };
    case 'dataframe_records':
      return { ...parseRows(toInstances(recordsTable(given), signature), signature), form: 'rows' };
  }
}

function formOf(sent: Readonly<Record<string, unknown>>): Form {
  const found = FORMS.filter((form) => Object.hasOwn(sent, form));
  const [form] = found;
  if (found.length !== 1 || form === undefined) {
    throw new InvalidInputError(`Send exactly one of ${FORMS.join(', ')}`, [
      { path: '', message: found.length === 0 ? 'has none of them' : `has ${found.join(' and ')}` },
    ]);
  }
  // Clients send it empty; a model here takes none.
  const { params } = sent;
  const isEmpty =
    (params ?? null) === null || (isRecord(params) && Object.keys(params).length === 0);
  const unknown = Object.keys(sent).filter((key) => key !== form && key !== 'params');
  if (!isEmpty || unknown.length > 0) {
    const path = unknown[0] ?? 'params';
    throw new InvalidInputError(`The body says more than the model takes beside ${form}`, [
      { path: path.slice(0, 60), message: 'means nothing here' },
    ]);
  }
  return form;
}

/** A table as pandas splits it; the index says nothing to a model. */
function splitTable(given: unknown): Table {
  const path = 'dataframe_split';
  if (!isRecord(given)) throw fault(path, 'must be an object with columns and data');
  const { columns, data } = given;
  if (!Array.isArray(data)) throw fault(`${path}.data`, 'must be a list of rows');
  const width: unknown = (data[0] as unknown[] | undefined)?.length;
  // Pandas numbers columns that have no names.
  const named: unknown =
    columns ?? Array.from({ length: typeof width === 'number' ? width : 0 }, (_, at) => at);
  if (!Array.isArray(named)) throw fault(`${path}.columns`, 'must be a list of names');
  const names = (named as unknown[]).map((name, at) => {
    if (typeof name === 'string' || typeof name === 'number') return String(name);
    throw fault(`${path}.columns[${at}]`, 'must be a name');
  });
  if (new Set(names).size !== names.length) throw fault(`${path}.columns`, 'names a column twice');
  data.forEach((row: unknown, at) => {
    if (Array.isArray(row) && row.length === names.length) return;
    throw fault(`${path}.data[${at}]`, `must be a list of ${names.length} cells`);
  });
  return { columns: names, data: data as unknown[][] };
}

/** Rows as objects, whose columns are those of the first row in its order. */
function recordsTable(given: unknown): Table {
  const path = 'dataframe_records';
  if (!Array.isArray(given)) throw fault(path, 'must be a list of rows');
  const rows = given as unknown[];
  const [first] = rows;
  const columns = isRecord(first) ? Object.keys(first) : [];
  const data = rows.map((row, at) => {
    if (!isRecord(row)) throw fault(`${path}[${at}]`, 'must be an object by column');
    const missing = columns.find((column) => !Object.hasOwn(row, column));
    if (missing !== undefined) throw fault(`${path}[${at}]`, `lacks the column ${missing}`);
    if (Object.keys(row).length > columns.length) {
      throw fault(`${path}[${at}]`, 'has a column that the first row has not');
    }
    return columns.map((column) => row[column]);
  });
  return { columns, data };
}

/**
 * Rows as the native API takes them: by input where the columns are called like the inputs, else
 * each row is the one input, its cells in the order of the columns.
 */
function toInstances({ columns, data }: Table, { inputs }: Signature): unknown[] {
  const [only] = inputs;
  const isByName = columns.some((column) => inputs.some(({ name }) => name === column));
  if (inputs.length === 1 && only && !isByName) {
    return only.shape.length === 1 && columns.length === 1 ? data.map(([cell]) => cell) : [...data];
  }
  const takesList = columns.map((column) => {
    const shape = inputs.find(({ name }) => name === column)?.shape;
    return shape?.length === 2 && shape[1] === 1;
  });
  return data.map((row) =>
    Object.fromEntries(
      row.map((cell, at) => {
        // A column of plain values is what a table has for an input of one value per row.
        const value = takesList[at] === true && !Array.isArray(cell) ? [cell] : cell;
        return [columns[at] ?? '', value];
      }),
    ),
  );
}

function fault(path: string, message: string): InvalidInputError {
  return new InvalidInputError('The table is not understood', [{ path, message }]);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
