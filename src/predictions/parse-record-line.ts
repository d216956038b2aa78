import {
  DTYPE_BYTES,
  type DType,
  elementCount,
  type NamedTensors,
  type Tensor,
} from '../common/tensor';
import { type Fault, InvalidInputError } from '../common/errors';
import { isAlias, isModelName } from '../common/model-ref';
import { parseTime } from '../common/time';
import { FaultList } from './fault-list';
import { type Truth } from './feedback.doc';
import { NATIVE_ELEMENTS } from './native-elements';
import { parseTensor } from './parse-tensor';
import { parseTruth } from './parse-feedback';
import { isCallerId } from './predict-request';
import { digestOf } from './prediction-input';
import { isPredictionId } from './prediction-id';
import {
  type ErasedNote,
  INPUT_KINDS,
  type InputSummary,
  PREDICTION_STATUSES,
  type PredictionRecord,
  PROTOCOLS,
  type RecordedTimings,
  type TensorHeader,
} from './prediction.doc';
import { type ScoredLabel } from './top-labels';

/** A line that is no exported record. */
export class BadRecordError extends InvalidInputError {
  override readonly code = 'bad_record';
}

/** What the other store said of an input that it erased. */
export type ErasedElsewhere = Pick<ErasedNote, 'at' | 'reason'>;

/** A record as it came back, and what was said of it. */
export interface ImportedRecord {
  readonly record: Omit<PredictionRecord, 'input'> & { readonly input: InputSummary };
  readonly content: Buffer | null;
  /** Set when the bytes of its input were erased where it comes from. */
  readonly erased: ErasedElsewhere | null;
  readonly truth: Truth | null;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;
const MAX_RANK = 16;
const DTYPES = Object.keys(DTYPE_BYTES) as [DType, ...DType[]];

type Members = Readonly<Record<string, unknown>>;

/**
 * Reads a line of an NDJSON export: values as JSON or bit for bit, with or without the input.
 *
 * Bytes of an input that are not those of its digest are refused: a record is only worth as much
 * as what it names.
 *
 * @throws BadRecordError with every fault
 */
export function parseRecordLine(line: unknown): ImportedRecord {
  const reader = new MemberReader(asMembers(line) ?? {}, '');
  const input = reader.child('input');
  const content = readContent(input);
  const erased = input.get('erased') === undefined ? null : readErased(input.child('erased'));
  const tags = reader.child('tags');
  const outputs = reader.get('outputs') === undefined ? null : reader.child('outputs');
  const error = reader.get('error') === undefined ? null : reader.child('error');
  const alias = reader.optional('alias', isAlias, 'an alias');
  const callerId = reader.optional('callerId', isCallerId, 'an id of a caller');
  const top = readTop(reader);
  const timings = reader.child('timings');
  const createdAt = parseTime(reader.text('createdAt'));
  if (!createdAt) reader.fault('createdAt', 'must be a time');
  const record: ImportedRecord['record'] = {
    id: reader.textThat('predictionId', isPredictionId, '24 hexadecimal digits').toLowerCase(),
    model: reader.textThat('model', isModelName, 'a model name'),
    version: reader.wholeNumber('version', 1),
    digest: reader.textThat('digest', (text) => DIGEST.test(text), 'a digest'),
    ...(alias === undefined ? {} : { alias }),
    protocol: reader.oneOf('protocol', PROTOCOLS),
    status: reader.oneOf('status', PREDICTION_STATUSES),
    ...(error ? { error: { code: error.text('code'), message: error.text('message') } } : {}),
    ...(callerId === undefined ? {} : { callerId }),
    tags: Object.fromEntries(tags.keys().map((key) => [key, tags.text(key)])),
    rows: reader.wholeNumber('rows', 0),
    input: readInput(input),
    ...(outputs ? { outputs: readTensors(outputs) } : {}),
    ...(top ? { top } : {}),
    timings: readTimings(timings),
    createdAt: createdAt ?? new Date(0),
  };
  const feedback = reader.get('feedback');
  reader.throwIfAny();
  return { record, content, erased, truth: feedback === undefined ? null : readTruth(feedback) };
}

function readContent(input: MemberReader): Buffer | null {
  if (input.get('content') === undefined) return null;
  const content = Buffer.from(input.text('content'), 'base64');
  if (digestOf(content) !== input.get('digest')) {
    input.fault('content', 'is not what the digest was made of');
  }
  return content;
}

function readInput(input: MemberReader): InputSummary {
  const [contentType, filename, recipe] = ['contentType', 'filename', 'recipe'].map((key) =>
    input.optional(key, () => true, 'a text'),
  );
  const tensors = input.get('tensors') === undefined ? null : input.child('tensors');
  return {
    digest: input.textThat('digest', (text) => DIGEST.test(text), 'a digest'),
    kind: input.oneOf('kind', INPUT_KINDS),
    bytes: input.wholeNumber('bytes', 0),
    ...(contentType === undefined ? {} : { contentType }),
    ...(filename === undefined ? {} : { filename }),
    ...(recipe === undefined ? {} : { recipe }),
    ...(tensors
      ? { tensors: tensors.keys().map((name) => readHeader(name, tensors.child(name))) }
      : {}),
  };
}

function readErased(erased: MemberReader): ErasedElsewhere {
  const at = parseTime(erased.text('at'));
  if (!at) erased.fault('at', 'must be a time');
  const reason = erased.optional('reason', () => true, 'a text');
  return { at: at ?? new Date(0), ...(reason === undefined ? {} : { reason }) };
}

function readHeader(name: string, tensor: MemberReader): TensorHeader {
  const shape = tensor.get('shape');
  const isShape =
    Array.isArray(shape) &&
    shape.length <= MAX_RANK &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!isShape) tensor.fault('shape', 'must be a list of sizes');
  return {
    name,
    dtype: tensor.oneOf('dtype', DTYPES),
    shape: isShape ? (shape as number[]) : [],
  };
}

function readTensors(outputs: MemberReader): NamedTensors {
  return Object.fromEntries(
    outputs.keys().map((name): [string, Tensor] => {
      const tensor = outputs.child(name);
      const { dtype, shape } = readHeader(name, tensor);
      return [name, { dtype, shape, data: readData(tensor, dtype, shape) }];
    }),
  );
}

function readData(tensor: MemberReader, dtype: DType, shape: readonly number[]): Uint8Array {
  const count = elementCount(shape);
  if (tensor.get('data') !== undefined) {
    const data = Buffer.from(tensor.text('data'), 'base64');
    const width = DTYPE_BYTES[dtype];
    if (width > 0 && data.length !== count * width) tensor.fault('data', 'has another length');
    return data;
  }
  const values = tensor.get('values');
  if (!Array.isArray(values) || values.length !== count) {
    tensor.fault('values', `must be a list of ${count}`);
    return new Uint8Array(0);
  }
  if (count === 0) return new Uint8Array(0);
  const faults = new FaultList();
  const flat = parseTensor(
    values,
    { name: '', dtype, shape: [count] },
    () => '',
    faults,
    NATIVE_ELEMENTS,
  );
  if (!flat) tensor.fault('values', `must be ${dtype}`);
  return flat?.data ?? new Uint8Array(0);
}

function readTop(reader: MemberReader): ScoredLabel[][] | null {
  const top = reader.get('top');
  if (top === undefined) return null;
  const isTop =
    Array.isArray(top) &&
    top.every((row) => Array.isArray(row) && row.every((entry) => isScoredLabel(asMembers(entry))));
  if (isTop) return top as ScoredLabel[][];
  reader.fault('top', 'must be lists of labels with scores');
  return null;
}

function isScoredLabel(entry: Members | null): boolean {
  return typeof entry?.['label'] === 'string' && Number.isFinite(entry['score']);
}

function readTimings(timings: MemberReader): RecordedTimings {
  return {
    queueMs: timings.number('queueMs'),
    inferMs: timings.number('inferMs'),
    totalMs: timings.number('totalMs'),
  };
}

/** The last word; what it replaced is history of the other store. */
function readTruth(feedback: unknown): Truth {
  const { label, values, source } = asMembers(feedback) ?? {};
  return parseTruth({
    ...(label === undefined ? {} : { label }),
    ...(values === undefined ? {} : { values }),
    ...(source === undefined ? {} : { source }),
  });
}

function asMembers(value: unknown): Members | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Members)
    : null;
}

/** Reads members of one JSON object and gathers what is wrong with them, for the whole tree. */
class MemberReader {
  constructor(
    private readonly members: Members,
    private readonly path: string,
    private readonly faults: Fault[] = [],
  ) {}

  get(key: string): unknown {
    return this.members[key];
  }

  keys(): string[] {
    return Object.keys(this.members);
  }

  fault(key: string, message: string): void {
    this.faults.push({ path: `${this.path}${key.slice(0, 60)}`, message });
  }

  child(key: string): MemberReader {
    const members = asMembers(this.get(key));
    if (!members) this.fault(key, 'must be an object');
    return new MemberReader(members ?? {}, `${this.path}${key.slice(0, 60)}.`, this.faults);
  }

  text(key: string): string {
    return this.textThat(key, () => true, 'a text');
  }

  textThat(key: string, isValid: (text: string) => boolean, what: string): string {
    const value = this.get(key);
    if (typeof value === 'string' && isValid(value)) return value;
    this.fault(key, `must be ${what}`);
    return '';
  }

  optional(key: string, isValid: (text: string) => boolean, what: string): string | undefined {
    return this.get(key) === undefined ? undefined : this.textThat(key, isValid, what);
  }

  number(key: string): number {
    const value = this.get(key);
    if (typeof value === 'number') return value;
    this.fault(key, 'must be a number');
    return 0;
  }

  wholeNumber(key: string, min: number): number {
    const value = this.number(key);
    if (!Number.isSafeInteger(value) || value < min) this.fault(key, 'must be a whole number');
    return value;
  }

  oneOf<const T extends string>(key: string, values: readonly [T, ...T[]]): T {
    const found = values.find((value) => value === this.get(key));
    if (found === undefined) this.fault(key, `must be one of ${values.join(', ')}`);
    return found ?? values[0];
  }

  /** @throws BadRecordError */
  throwIfAny(): void {
    const [first] = this.faults;
    if (!first) return;
    throw new BadRecordError(
      `The line is no exported record: ${first.path} ${first.message}`,
      this.faults.slice(0, 20),
    );
  }
}
