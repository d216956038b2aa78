import { ApiBody, ApiParam, ApiQuery, ApiResponse } from '@nestjs/swagger';

import { describeRoute } from '../http/route-docs';
import { JOB_KINDS, JOB_STATES } from './job.doc';
import { ReplayDto } from './replay.dto';

const Id = ApiParam({ name: 'id', schema: { type: 'string', pattern: '^[0-9a-fA-F]{24}$' } });

const TIME_OR_NULL = { type: 'string', format: 'date-time', nullable: true };

const COUNTS = {
  type: 'object',
  description: 'Records whose outputs are the same bytes, the same within 1e-5, or neither',
  properties: {
    bitwise: { type: 'integer' },
    withinTolerance: { type: 'integer' },
    differing: { type: 'integer' },
    incomparable: { type: 'integer' },
  },
};

const REPORT_SCHEMA = {
  type: 'object',
  nullable: true,
  description: 'What a finished replay found out',
  properties: {
    candidate: { type: 'integer' },
    records: { type: 'integer' },
    rows: { type: 'integer' },
    skipped: { type: 'object', additionalProperties: true },
    own: COUNTS,
    agreement: COUNTS,
    differences: { type: 'object', additionalProperties: true },
    labels: {
      type: 'object',
      properties: {
        compared: { type: 'integer' },
        changed: { type: 'integer' },
        changedShare: { type: 'number', nullable: true },
        examples: { type: 'array', items: { type: 'object', additionalProperties: true } },
      },
    },
    truth: {
      type: 'object',
      description: 'Over rows whose truth was given as feedback',
      properties: {
        rows: { type: 'integer' },
        recordedRight: { type: 'integer' },
        candidateRight: { type: 'integer' },
        recordedAccuracy: { type: 'number', nullable: true },
        candidateAccuracy: { type: 'number', nullable: true },
      },
    },
  },
};

const JOB_SCHEMA = {
  type: 'object',
  required: ['jobId', 'kind', 'model', 'state', 'params', 'progress', 'createdAt'],
  properties: {
    jobId: { type: 'string' },
    kind: { enum: [...JOB_KINDS] },
    model: { type: 'string' },
    state: { enum: [...JOB_STATES] },
    params: { type: 'object', additionalProperties: true },
    progress: {
      type: 'object',
      properties: { done: { type: 'integer' }, total: { type: 'integer' } },
    },
    report: REPORT_SCHEMA,
    failure: {
      type: 'object',
      nullable: true,
      properties: { code: { type: 'string' }, message: { type: 'string' } },
    },
    createdAt: { type: 'string', format: 'date-time' },
    startedAt: TIME_OR_NULL,
    finishedAt: TIME_OR_NULL,
  },
};

export const ReplayDocs = (): MethodDecorator =>
  describeRoute(
    'Run recorded inputs through their own version and through another, and compare',
    [400, 404, 409, 415, 422, 503],
    ApiParam({ name: 'model', example: 'digits' }),
    ApiBody({ type: ReplayDto }),
    ApiResponse({ status: 202, description: 'The job that does it', schema: JOB_SCHEMA }),
  );

export const ListJobsDocs = (): MethodDecorator =>
  describeRoute(
    'List jobs, newest first',
    [400, 503],
    ApiQuery({ name: 'model', required: false, schema: { type: 'string' } }),
    ApiQuery({ name: 'state', required: false, schema: { enum: [...JOB_STATES] } }),
    ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', default: 50 } }),
    ApiQuery({ name: 'cursor', required: false, schema: { type: 'string' } }),
    ApiResponse({
      status: 200,
      description: 'A page of jobs',
      schema: {
        type: 'object',
        required: ['items', 'next'],
        properties: {
          items: { type: 'array', items: JOB_SCHEMA },
          next: { type: 'string', nullable: true },
        },
      },
    }),
  );

export const GetJobDocs = (): MethodDecorator =>
  describeRoute(
    'Show a job: how far it is, and what it found out',
    [400, 404, 503],
    Id,
    ApiResponse({ status: 200, description: 'The job', schema: JOB_SCHEMA }),
  );

export const CancelJobDocs = (): MethodDecorator =>
  describeRoute(
    'Cancel a job that has not ended',
    [400, 404, 409, 503],
    Id,
    ApiResponse({ status: 200, description: 'The job, cancelled', schema: JOB_SCHEMA }),
  );

const NUMBER = { type: 'number' } as const;
const SHARE = { type: 'number', minimum: 0, maximum: 1 } as const;
const ROWS = { type: 'integer', minimum: 0 } as const;

const CLASSIFICATION = {
  type: 'object',
  nullable: true,
  properties: {
    rows: ROWS,
    accuracy: SHARE,
    logLoss: { ...NUMBER, nullable: true, description: 'Null where scores are no probabilities' },
    classes: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          label: { type: 'string' },
          support: ROWS,
          predicted: ROWS,
          precision: { ...SHARE, nullable: true },
          recall: { ...SHARE, nullable: true },
        },
      },
    },
    confusion: {
      type: 'array',
      description: 'Only what occurred',
      items: {
        type: 'object',
        properties: { truth: { type: 'string' }, predicted: { type: 'string' }, rows: ROWS },
      },
    },
  },
};

export const QualityDocs = (): MethodDecorator =>
  describeRoute(
    'How versions did, by the feedback on their predictions: accuracy, precision, recall, confusion, log loss; errors of regressions',
    [400, 404, 422, 503],
    ApiParam({ name: 'model', example: 'digits' }),
    ApiQuery({ name: 'version', required: false, schema: { type: 'integer', minimum: 1 } }),
    ApiQuery({ name: 'alias', required: false, schema: { type: 'string' } }),
    ApiQuery({ name: 'since', required: false, schema: { type: 'string', format: 'date-time' } }),
    ApiQuery({ name: 'until', required: false, schema: { type: 'string', format: 'date-time' } }),
    ApiQuery({
      name: 'bucket',
      required: false,
      schema: { type: 'string', enum: ['hour', 'day', 'all'], default: 'all' },
    }),
    ApiResponse({
      status: 200,
      description: 'Per version and stretch of time; at most the newest 200000 predictions',
      schema: {
        type: 'object',
        properties: {
          model: { type: 'string' },
          bucket: { type: 'string' },
          examined: ROWS,
          isTruncated: { type: 'boolean' },
          groups: {
            type: 'array',
            items: {
              type: 'object',
              properties: {
                version: { type: 'integer' },
                since: { type: 'string', format: 'date-time' },
                predictions: { ...ROWS, description: 'Whose truth is known' },
                mismatched: { ...ROWS, description: 'Whose truth has another number of rows' },
                classification: CLASSIFICATION,
                regression: {
                  type: 'array',
                  items: {
                    type: 'object',
                    properties: {
                      output: { type: 'string' },
                      values: ROWS,
                      meanAbsoluteError: NUMBER,
                      meanSquaredError: NUMBER,
                    },
                  },
                },
              },
            },
          },
        },
      },
    }),
  );
