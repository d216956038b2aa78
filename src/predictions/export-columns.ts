import { type PredictionAnswer } from './prediction.answer';

export type ColumnType = 'STRING' | 'INT32' | 'DOUBLE' | 'TIMESTAMP';
type Cell = string | number | Date | null;

/** One column of the exports that are tables. */
export interface ExportColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly read: (answer: PredictionAnswer) => Cell | undefined;
}

/**
 * A record as one row. What has no place in a table (tensors, further rows of `top`, tags) stands
 * as JSON in a cell.
 */
export const EXPORT_COLUMNS: readonly ExportColumn[] = [
  { name: 'predictionId', type: 'STRING', read: ({ predictionId }) => predictionId },
  { name: 'createdAt', type: 'TIMESTAMP', read: ({ createdAt }) => new Date(createdAt) },
  { name: 'model', type: 'STRING', read: ({ model }) => model },
  { name: 'version', type: 'INT32', read: ({ version }) => version },
  { name: 'digest', type: 'STRING', read: ({ digest }) => digest },
  { name: 'alias', type: 'STRING', read: ({ alias }) => alias },
  { name: 'protocol', type: 'STRING', read: ({ protocol }) => protocol },
  { name: 'status', type: 'STRING', read: ({ status }) => status },
  { name: 'errorCode', type: 'STRING', read: ({ error }) => error?.code },
  { name: 'callerId', type: 'STRING', read: ({ callerId }) => callerId },
  { name: 'tags', type: 'STRING', read: ({ tags }) => JSON.stringify(tags) },
  { name: 'rows', type: 'INT32', read: ({ rows }) => rows },
  { name: 'inputDigest', type: 'STRING', read: ({ input }) => input.digest },
  { name: 'inputKind', type: 'STRING', read: ({ input }) => input.kind },
  { name: 'inputBytes', type: 'INT32', read: ({ input }) => input.bytes },
  { name: 'label', type: 'STRING', read: ({ top }) => top?.[0]?.[0]?.label },
  { name: 'score', type: 'DOUBLE', read: ({ top }) => top?.[0]?.[0]?.score },
  { name: 'top', type: 'STRING', read: ({ top }) => asJson(top) },
  { name: 'outputs', type: 'STRING', read: ({ outputs }) => asJson(outputs) },
  { name: 'queueMs', type: 'DOUBLE', read: ({ timings }) => timings.queueMs },
  { name: 'inferMs', type: 'DOUBLE', read: ({ timings }) => timings.inferMs },
  { name: 'totalMs', type: 'DOUBLE', read: ({ timings }) => timings.totalMs },
  { name: 'trueLabel', type: 'STRING', read: ({ feedback }) => feedback && trueLabel(feedback) },
  { name: 'trueValues', type: 'STRING', read: ({ feedback }) => asJson(feedback?.values) },
  { name: 'feedbackSource', type: 'STRING', read: ({ feedback }) => feedback?.source },
  {
    name: 'feedbackAt',
    type: 'TIMESTAMP',
    read: ({ feedback }) => feedback && new Date(feedback.givenAt),
  },
];

function trueLabel({ label }: NonNullable<PredictionAnswer['feedback']>): string | undefined {
  return typeof label === 'string' ? label : asJson(label);
}

function asJson(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}
