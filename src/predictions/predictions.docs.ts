import { applyDecorators } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiHeader, ApiParam, ApiQuery, ApiResponse } from '@nestjs/swagger';

import { describeRoute, type FailureStatus } from '../http/route-docs';
import { PREDICTION_STATUSES } from './prediction.doc';
import {
  PREDICT_ANSWER_SCHEMA,
  PREDICT_BODY_SCHEMA,
  PREDICTION_SCHEMA,
} from './predictions.schemas';

const IdempotencyKey = ApiHeader({
  name: 'Idempotency-Key',
  required: false,
  description: 'Repeating the request under the same key within 24 hours repeats its answer',
});

const PREDICT_FAILURES: readonly FailureStatus[] = [400, 404, 409, 413, 415, 422, 503, 504];

const Id = ApiParam({ name: 'id', schema: { type: 'string', pattern: '^[0-9a-fA-F]{24}$' } });

function query(name: string, schema: object): MethodDecorator {
  return ApiQuery({ name, required: false, schema });
}

const PredictExchange = applyDecorators(
  IdempotencyKey,
  ApiConsumes('application/json', 'multipart/form-data', 'image/*', 'application/octet-stream'),
  query('input', { type: 'string', description: 'With a body of raw numbers: the input they are' }),
  ApiBody({ schema: PREDICT_BODY_SCHEMA }),
  ApiResponse({
    status: 200,
    description: 'The prediction, recorded',
    schema: PREDICT_ANSWER_SCHEMA,
    headers: {
      'Gridstow-Prediction-Id': { schema: { type: 'string' } },
      'Gridstow-Version': { schema: { type: 'integer' } },
    },
  }),
);

export const PredictDocs = (): MethodDecorator =>
  describeRoute(
    'Predict with the version that an alias points at',
    PREDICT_FAILURES,
    ApiParam({
      name: 'ref',
      description: 'digits (alias live) or digits@canary',
      example: 'digits',
    }),
    PredictExchange,
  );

export const PredictVersionDocs = (): MethodDecorator =>
  describeRoute(
    'Predict with one version',
    PREDICT_FAILURES,
    ApiParam({ name: 'model', example: 'digits' }),
    ApiParam({ name: 'version', schema: { type: 'integer', minimum: 1 } }),
    PredictExchange,
  );

/** The parameters of `PREDICTION_FILTERS`. */
export const FilterDocs = (): MethodDecorator =>
  applyDecorators(
    query('model', { type: 'string' }),
    query('version', { type: 'integer', minimum: 1, description: 'Needs model' }),
    query('alias', { type: 'string', description: 'Needs model' }),
    query('status', { type: 'string', enum: [...PREDICTION_STATUSES] }),
    query('callerId', { type: 'string', description: 'The id that came with the request' }),
    query('since', { type: 'string', format: 'date-time', description: 'Included' }),
    query('until', { type: 'string', format: 'date-time', description: 'Not included' }),
    query('label', { type: 'string', description: 'The best label of at least one row' }),
  );

export const ListPredictionsDocs = (): MethodDecorator =>
  describeRoute(
    'List predictions, newest first, without values and with at most 16 rows of top each',
    [400, 503],
    FilterDocs(),
    query('limit', { type: 'integer', minimum: 1, maximum: 1000, default: 50 }),
    query('cursor', { type: 'string' }),
    ApiResponse({
      status: 200,
      description: 'A page of predictions',
      schema: {
        type: 'object',
        required: ['items', 'next'],
        properties: {
          items: { type: 'array', items: PREDICTION_SCHEMA },
          next: { type: 'string', nullable: true },
        },
      },
    }),
  );

export const CountPredictionsDocs = (): MethodDecorator =>
  describeRoute(
    'Count the predictions of a model by version, best label, hour or status',
    [400, 503],
    query('by', {
      type: 'string',
      enum: ['version', 'label', 'hour', 'status'],
      default: 'version',
    }),
    FilterDocs(),
    ApiResponse({
      status: 200,
      description: 'How many there are of each, by rising value; model is needed',
      schema: {
        type: 'object',
        properties: {
          by: { type: 'string' },
          items: {
            type: 'array',
            items: {
              type: 'object',
              properties: {
                value: { oneOf: [{ type: 'string' }, { type: 'integer' }] },
                count: { type: 'integer' },
              },
            },
          },
        },
      },
    }),
  );

export const GetPredictionDocs = (): MethodDecorator =>
  describeRoute(
    'Show a prediction with the values of its input and outputs',
    [400, 404, 503],
    Id,
    ApiResponse({ status: 200, description: 'The prediction', schema: PREDICTION_SCHEMA }),
  );

export const GetPredictionInputDocs = (): MethodDecorator =>
  describeRoute(
    'Download the exact bytes of an input: tensors as a safetensors file, an image as it came, several as a tar',
    [400, 404, 503],
    Id,
    ApiResponse({
      status: 200,
      description: 'The bytes; their sha256 is the digest of the input, and the ETag',
      content: Object.fromEntries(
        ['application/octet-stream', 'image/*', 'application/x-tar'].map((type) => [
          type,
          { schema: { type: 'string', format: 'binary' } },
        ]),
      ),
    }),
    ApiResponse({ status: 304, description: 'Unchanged, as always' }),
  );
