import { type NamedTensors, type Signature, type Tensor } from '../../common/tensor';
import { isNumbers, type TensorValues, valuesOf } from '../../common/tensor-values';
import { inOrder, type PredictForm } from '../../predictions/outputs-json';
import { mayBeScores } from '../../predictions/top-labels';
import { JsonWriter } from './json-writer';
import { OutputFormError } from './tfserving.errors';

/** What an answer is written from. */
export interface TfAnswer {
  readonly outputs: NamedTensors;
  readonly signature: Signature;
  readonly rows: number;
}

/** Names of outputs that hold bytes, and not texts. */
const BYTES_SUFFIX = '_bytes';

/**
 * The answer of predict: `predictions`, one element for each row, or `outputs`, whole tensors. The
 * only output stands there by itself, several by their names.
 *
 * @throws OutputFormError for rows of outputs that do not have as many as each other
 */
export function writePredictions({ outputs, signature }: TfAnswer, form: PredictForm): Buffer {
  const named = inOrder(outputs, signature).map(([name, tensor]) => new Column(name, tensor));
  const json = new JsonWriter();
  if (form === 'columns') {
    json.mark('{"outputs":');
    writeEach(json, named, (column) => {
      column.write(json, 0, 0, column.count);
    });
    json.mark('}');
    return json.take();
  }
  const rows = countRows(named);
  json.mark('{"predictions":[');
  for (let row = 0; row < rows; row++) {
    if (row > 0) json.mark(',');
    writeEach(json, named, (column) => {
      const each = column.count / rows;
      column.write(json, 1, row * each, each);
    });
  }
  json.mark(']}');
  return json.take();
}

/**
 * The answer of classify: for each row its classes, each with its label and its score. A version
 * without labels has empty ones, as in TensorFlow Serving.
 *
 * @throws OutputFormError when no output has scores for each row
 */
export function writeClasses(
  { outputs, signature, rows }: TfAnswer,
  labels: readonly string[] | null,
): Buffer {
  const scores = scoresOf({ outputs, signature, rows }, 'classify', 2);
  const classes = scores.count / rows;
  const known = labels?.length === classes ? labels : null;
  const json = new JsonWriter();
  json.mark('{"results":[');
  for (let row = 0; row < rows; row++) {
    json.mark(row > 0 ? ',[' : '[');
    for (let place = 0; place < classes; place++) {
      json.mark(place > 0 ? ',[' : '[');
      json.text(known?.[place] ?? '');
      json.mark(',');
      scores.write(json, scores.rank, row * classes + place, 1);
      json.mark(']');
    }
    json.mark(']');
  }
  json.mark(']}');
  return json.take();
}

/**
 * The answer of regress: one number for each row.
 *
 * @throws OutputFormError when no output has that
 */
export function writeRegressions({ outputs, signature, rows }: TfAnswer): Buffer {
  const values = scoresOf({ outputs, signature, rows }, 'regress', 1);
  const json = new JsonWriter();
  json.mark('{"results":');
  values.writeFlat(json);
  json.mark('}');
  return json.take();
}

/** An output being written. */
class Column {
  readonly count: number;
  private readonly values: TensorValues;
  private readonly isBytes: boolean;

  constructor(
    readonly name: string,
    readonly tensor: Tensor,
  ) {
    this.values = valuesOf(tensor);
    this.count = this.values.length;
    this.isBytes = tensor.dtype === 'string' && name.endsWith(BYTES_SUFFIX);
  }

  get rank(): number {
    return this.tensor.shape.length;
  }

  get isNumeric(): boolean {
    return isNumbers(this.values);
  }

  /** Writes `count` elements from `start` on, as lists of the dimensions from `level` on. */
  write(json: JsonWriter, level: number, start: number, count: number): void {
    const { shape } = this.tensor;
    if (level >= shape.length) {
      this.writeElement(json, start);
      return;
    }
    if (level === shape.length - 1) {
      this.writeElements(json, start, count);
      return;
    }
    const size = shape[level] ?? 0;
    const each = size === 0 ? 0 : count / size;
    json.mark('[');
    for (let index = 0; index < size; index++) {
      if (index > 0) json.mark(',');
      this.write(json, level + 1, start + index * each, each);
    }
    json.mark(']');
  }

  /** All elements as one list. */
  writeFlat(json: JsonWriter): void {
    this.writeElements(json, 0, this.count);
  }

  private writeElements(json: JsonWriter, start: number, count: number): void {
    json.mark('[');
    if (this.values instanceof Float32Array) {
      json.float32s(this.values, start, start + count);
      json.mark(']');
      return;
    }
    for (let index = start; index < start + count; index++) {
      if (index > start) json.mark(',');
      this.writeElement(json, index);
    }
    json.mark(']');
  }

  private writeElement(json: JsonWriter, index: number): void {
    const { values } = this;
    // float16 is widened to this, and its digits are those of a float32.
    if (values instanceof Float32Array) json.float32(values[index] ?? 0);
    else if (values instanceof Float64Array) json.float64(values[index] ?? 0);
    else {
      const value = values[index] ?? 0;
      if (typeof value === 'number' || typeof value === 'bigint') json.integer(value);
      else if (typeof value === 'boolean') json.mark(String(value));
      else this.writeText(json, value);
    }
  }

  private writeText(json: JsonWriter, text: string): void {
    if (this.isBytes) json.mark(`{"b64":"${Buffer.from(text).toString('base64')}"}`);
    else json.text(text);
  }
}

function writeEach(
  json: JsonWriter,
  columns: readonly Column[],
  write: (column: Column) => void,
): void {
  const [only] = columns;
  if (columns.length === 1 && only) {
    write(only);
    return;
  }
  json.mark('{');
  columns.forEach((column, place) => {
    if (place > 0) json.mark(',');
    json.text(column.name);
    json.mark(':');
    write(column);
  });
  json.mark('}');
}

function countRows(columns: readonly Column[]): number {
  let rows: number | undefined;
  for (const { name, tensor } of columns) {
    const [first] = tensor.shape;
    if (first === undefined) {
      throw new OutputFormError(`Tensor name: ${name} has no shape information; send inputs`);
    }
    rows ??= first;
    if (first !== rows) {
      throw new OutputFormError(
        `Tensor name: ${name} has inconsistent batch size: ${first} expecting: ${rows}; send inputs`,
      );
    }
  }
  return rows ?? 0;
}

/** The first output that may be scores, which has to be of that rank and have values for each row. */
function scoresOf({ outputs, signature, rows }: TfAnswer, method: string, rank: 1 | 2): Column {
  const found = inOrder(outputs, signature).find(([, { dtype }]) => mayBeScores(dtype));
  const column = found && new Column(...found);
  const shape = column?.tensor.shape ?? [];
  const isScores =
    column !== undefined &&
    column.isNumeric &&
    shape[0] === rows &&
    (rank === 2 ? shape.length === 2 : column.count === rows);
  if (isScores) return column;
  const wanted = rank === 2 ? '[rows, classes]' : '[rows] or [rows, 1]';
  throw new OutputFormError(
    `Cannot ${method}: its first output has the shape [${shape.join(', ')}], ${wanted} is needed; ask :predict instead`,
  );
}
