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
