import { ApiBody, ApiConsumes, ApiQuery, ApiResponse } from '@nestjs/swagger';

import { describeRoute } from '../http/route-docs';
import { FilterDocs } from './predictions.docs';

const BYTES = { schema: { type: 'string', format: 'binary' } } as const;

function query(name: string, description: string, schema: object): MethodDecorator {
  return ApiQuery({ name, required: false, description, schema });
}

export const ExportPredictionsDocs = (): MethodDecorator =>
  describeRoute(
    'Export predictions with outputs and feedback, oldest first, as a stream of any length; gzip where it is accepted',
    [400, 503],
    query('format', 'sagemaker-capture and sagemaker-truth are lines that monitors for it read', {
      type: 'string',
      enum: ['ndjson', 'csv', 'parquet', 'sagemaker-capture', 'sagemaker-truth'],
      default: 'ndjson',
    }),
    query('after', 'Goes on behind this prediction: the last one that arrived', { type: 'string' }),
    query('inputs', 'ndjson only: with the exact bytes of inputs up to 8 MiB in base64', {
      type: 'boolean',
      default: false,
    }),
    query('values', 'ndjson only: base64 gives outputs bit for bit, which JSON numbers cannot', {
      type: 'string',
      enum: ['json', 'base64'],
      default: 'json',
    }),
    FilterDocs(),
    ApiResponse({
      status: 200,
      description: 'A connection that is cut before its end means that there is more',
      content: {
        'application/x-ndjson': BYTES,
        'text/csv': BYTES,
        'application/vnd.apache.parquet': BYTES,
      },
    }),
  );

const COUNT = { type: 'integer', minimum: 0 } as const;

export const LINE_COUNTS = {
  accepted: COUNT,
  refused: COUNT,
  faults: {
    type: 'array',
    description: 'Of the first refused lines; paths start with the number of the line',
    items: {
      type: 'object',
      properties: { path: { type: 'string' }, message: { type: 'string' } },
    },
  },
};

export const ImportPredictionsDocs = (): MethodDecorator =>
  describeRoute(
    'Take back what an export as ndjson gave out; with inputs=true and values=base64 nothing is lost',
    [400, 413, 415, 422, 503],
    ApiConsumes('application/x-ndjson'),
    ApiBody({ schema: { type: 'string', description: 'Lines of an export' } }),
    ApiResponse({
      status: 200,
      description: 'Records keep their ids; one that is there already stays as it is',
      schema: { type: 'object', properties: { ...LINE_COUNTS, withoutInput: COUNT } },
    }),
  );
