import { type ObjectId } from 'mongodb';

import { type DType, type NamedTensors } from '../common/tensor';
import { fromPairs, toPairs } from '../models/version.doc';
import { digestBytes, digestText } from './input-digest';
import {
  type InputSummary,
  type Prediction,
  type PredictionDoc,
  type PredictionRecord,
  type ReadTensor,
  type TensorHeader,
} from './prediction.doc';
import { type ScoredLabel } from './top-labels';

/** What most records are: left out where they are stored, and put back where they are read. */
export const USUAL = {
  protocol: 'native',
  kind: 'tensors',
  contentType: 'application/octet-stream',
} as const;

const TENSOR = /^(\w+)\[([\d,]*)\] (.*)$/s;

/** What of a record goes into its document: of the input no bytes. */
export type RecordToStore = Omit<PredictionRecord, 'input'> & { readonly input: InputSummary };

export function toPredictionDoc(record: RecordToStore, _id: ObjectId): PredictionDoc {
  const { model, version, digest, alias, protocol, status, error, callerId, tags, rows } = record;
  const { input, outputs, top, timings, createdAt, importedAt } = record;
  const pairs = toPairs(tags);
  const labels = new Set(top?.flatMap(([first]) => (first ? [first.label] : [])));
  // In one fixed order, member by member, and left out by `undefined`: this runs for every
  // prediction, and to put objects together from others costs more than all else here.
  return {
    _id,
    model,
    version,
    digest: digestBytes(digest),
    alias,
    protocol: protocol === USUAL.protocol ? undefined : protocol,
    status,
    error,
    callerId,
    tags: pairs.length > 0 ? pairs : undefined,
    rows,
    input: toInputSummaryDoc(input),
    outputs: outputs && toOutputDocs(outputs),
    top: top?.map((row) => row.flatMap(({ label, score }) => [label, score])),
    labels: labels.size > 0 ? [...labels] : undefined,
    timingsUs: [toUs(timings.queueMs), toUs(timings.inferMs), toUs(timings.totalMs)],
    createdAt,
    importedAt,
  };
}

export function toPrediction(doc: PredictionDoc): Prediction {
  const { _id, digest, protocol, tags, rows, input, outputs, top, timingsUs } = doc;
  const { model, version, alias, status, error, callerId, createdAt, importedAt } = doc;
  const [queueUs = 0, inferUs = 0, totalUs = 0] = timingsUs;
  return {
    id: _id.toHexString(),
    model,
    version,
    digest: digestText(digest),
    ...(alias === undefined ? {} : { alias }),
    protocol: protocol ?? USUAL.protocol,
    status,
    ...(error ? { error } : {}),
    ...(callerId === undefined ? {} : { callerId }),
    tags: tags ? fromPairs(tags) : {},
    rows,
    input: toInputSummary(input),
    ...(outputs ? { outputs: outputs.map(toReadTensor) } : {}),
    ...(top ? { top: top.map(toScoredLabels) } : {}),
    timings: { queueMs: queueUs / 1000, inferMs: inferUs / 1000, totalMs: totalUs / 1000 },
    createdAt,
    ...(importedAt ? { importedAt } : {}),
  };
}

export function toInputSummary({
  digest,
  kind = USUAL.kind,
  contentType = USUAL.contentType,
  tensors,
  ...rest
}: PredictionDoc['input']): InputSummary {
  return {
    digest: digestText(digest),
    kind,
    contentType,
    ...rest,
    ...(tensors ? { tensors: tensors.map(toHeader) } : {}),
  };
}

export function toTensorText({ name, dtype, shape }: TensorHeader): string {
  return `${dtype}[${shape.join(',')}] ${name}`;
}

export function toHeader(text: string): TensorHeader {
  const [, dtype = '', sizes = '', name = ''] = TENSOR.exec(text) ?? [];
  const shape = sizes === '' ? [] : sizes.split(',').map(Number);
  return { name, dtype: dtype as DType, shape };
}

function toInputSummaryDoc({
  digest,
  kind,
  bytes,
  contentType,
  filename,
  recipe,
  tensors,
}: InputSummary): PredictionDoc['input'] {
  return {
    digest: digestBytes(digest),
    kind: kind === USUAL.kind ? undefined : kind,
    bytes,
    contentType: contentType === USUAL.contentType ? undefined : contentType,
    filename,
    recipe,
    tensors: tensors?.map(toTensorText),
  };
}

function toUs(ms: number): number {
  return Math.round(ms * 1000);
}

function toOutputDocs(outputs: NamedTensors): NonNullable<PredictionDoc['outputs']> {
  return Object.entries(outputs).map(([name, { dtype, shape, data }]) => ({
    tensor: toTensorText({ name, dtype, shape }),
    values: data,
  }));
}

/** Whatever the type says: lists leave the values in the database. */
function toReadTensor({ tensor, values }: { tensor: string; values?: Uint8Array }): ReadTensor {
  return { ...toHeader(tensor), ...(values ? { data: values } : {}) };
}

function toScoredLabels(row: readonly (string | number)[]): ScoredLabel[] {
  return Array.from({ length: row.length / 2 }, (_, place) => ({
    label: String(row[2 * place]),
    score: Number(row[2 * place + 1]),
  }));
}
