import { type Fault, InvalidInputError } from '../common/errors';
import { isModelName } from '../common/model-ref';
import { type FeedbackTarget, type Truth } from './feedback.doc';
import { isCallerId } from './predict-request';
import { isPredictionId } from './prediction-id';

const MAX_LABELS = 65_536;
const MAX_LABEL = 512;
const MAX_SOURCE = 256;
/** As 8-byte numbers in a document of the database, with its history. */
const MAX_VALUES = 16_384;

/** Feedback that says nothing, or something else than truth. */
export class BadFeedbackError extends InvalidInputError {
  override readonly code = 'bad_feedback';
}

/** One line of feedback in bulk. */
export interface FeedbackLine {
  readonly target: FeedbackTarget;
  readonly truth: Truth;
}

type Members = Readonly<Record<string, unknown>>;

/**
 * Reads a truth: `label` (one, or a list with one per row) or `values` (numbers, nested or flat, or
 * an object of such by output), perhaps `source`.
 *
 * @throws BadFeedbackError with every fault
 */
export function parseTruth(body: unknown): Truth {
  const faults: Fault[] = [];
  const { label, values, source, ...others } = asObject(body);
  const truth = readTruth({ label, values, source }, faults);
  refuseUnknown(others, faults);
  throwIfAny(faults);
  return truth;
}

/**
 * Reads a line of feedback in bulk: a truth with `predictionId`, or with `model` and `callerId`.
 *
 * @throws BadFeedbackError with every fault
 */
export function parseFeedbackLine(body: unknown): FeedbackLine {
  const faults: Fault[] = [];
  const { predictionId, model, callerId, label, values, source, ...others } = asObject(body);
  const target = readTarget({ predictionId, model, callerId }, faults);
  const truth = readTruth({ label, values, source }, faults);
  refuseUnknown(others, faults);
  throwIfAny(faults);
  return { target, truth };
}

function readTarget({ predictionId, model, callerId }: Members, faults: Fault[]): FeedbackTarget {
  if (predictionId !== undefined) {
    if (model !== undefined || callerId !== undefined) {
      faults.push({ path: 'predictionId', message: 'stands beside model or callerId' });
    }
    const id = typeof predictionId === 'string' ? predictionId : '';
    if (!isPredictionId(id)) {
      faults.push({ path: 'predictionId', message: 'must have 24 hexadecimal digits' });
    }
    return { predictionId: id.toLowerCase() };
  }
  if (typeof model !== 'string' || !isModelName(model)) {
    faults.push({ path: 'model', message: 'must be a model name, unless there is a predictionId' });
  }
  if (typeof callerId !== 'string' || !isCallerId(callerId)) {
    faults.push({ path: 'callerId', message: 'must be a text of 1 to 256 characters' });
  }
  return { model: String(model), callerId: String(callerId) };
}

function readTruth({ label, values, source }: Members, faults: Fault[]): Truth {
  if ((label === undefined) === (values === undefined)) {
    const message = label === undefined ? 'has neither label nor values' : 'has label and values';
    faults.push({ path: '', message });
  }
  const labels = label === undefined ? undefined : readLabels(label, faults);
  const numbers = values === undefined ? undefined : readValues(values, faults);
  if (source !== undefined && !isText(source, MAX_SOURCE)) {
    faults.push({ path: 'source', message: `must be a text of 1 to ${MAX_SOURCE} characters` });
  }
  return {
    ...(labels ? { labels } : {}),
    ...(numbers ? { values: numbers } : {}),
    ...(typeof source === 'string' ? { source } : {}),
  };
}

function readLabels(label: unknown, faults: Fault[]): string[] {
  const labels: unknown[] = Array.isArray(label) ? label : [label];
  if (labels.length === 0 || labels.length > MAX_LABELS) {
    faults.push({ path: 'label', message: `must be a label, or a list of 1 to ${MAX_LABELS}` });
  }
  const faulty = labels.findIndex((one) => !isText(one, MAX_LABEL));
  if (faulty >= 0) {
    const path = Array.isArray(label) ? `label[${faulty}]` : 'label';
    faults.push({ path, message: `must be a text of 1 to ${MAX_LABEL} characters` });
  }
  return labels.map(String);
}

function readValues(values: unknown, faults: Fault[]): Truth['values'] {
  const isNamed = typeof values === 'object' && values !== null && !Array.isArray(values);
  const entries: [string | undefined, unknown][] = isNamed
    ? Object.entries(values)
    : [[undefined, values]];
  let room = MAX_VALUES;
  return entries.map(([name, nested]) => {
    const path = name === undefined ? 'values' : `values.${name.slice(0, 60)}`;
    const flat = [nested].flat(Infinity);
    room -= flat.length;
    if (flat.length === 0 || !flat.every((value) => Number.isFinite(value))) {
      faults.push({ path, message: 'must be a number, or lists of numbers' });
    } else if (room < 0) {
      faults.push({ path, message: `has too many numbers; at most ${MAX_VALUES} are taken` });
    }
    return { ...(name === undefined ? {} : { name }), values: flat as number[] };
  });
}

function isText(value: unknown, maxLength: number): boolean {
  return (
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= maxLength &&
    value.isWellFormed() &&
    !value.includes('\0')
  );
}

function asObject(body: unknown): Members {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Members;
  throw new BadFeedbackError('Feedback is a JSON object with label or values', [
    { path: '', message: 'is no object' },
  ]);
}

function refuseUnknown(others: Members, faults: Fault[]): void {
  for (const key of Object.keys(others).slice(0, 20)) {
    faults.push({ path: key.slice(0, 60), message: 'is not known here' });
  }
}

/** @throws BadFeedbackError */
function throwIfAny(faults: readonly Fault[]): void {
  const [first] = faults;
  if (!first) return;
  const where = first.path === '' ? 'it' : first.path;
  throw new BadFeedbackError(`The feedback is not usable: ${where} ${first.message}`, faults);
}
