import { applyDecorators } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiQuery, ApiResponse } from '@nestjs/swagger';

const ERROR = {
  type: 'object',
  required: ['error_code', 'message'],
  properties: {
    error_code: {
      type: 'string',
      description: 'What clients go by, such as RESOURCE_DOES_NOT_EXIST',
    },
    message: { type: 'string', description: 'A sentence for a person' },
  },
};

/** One line of a route of the registry, the fields that it reads, and its one shape of errors. */
export function describeMlflow(summary: string, fields: readonly string[]): MethodDecorator {
  return applyDecorators(
    ApiOperation({
      summary,
      ...(fields.length > 0
        ? { description: `Reads ${fields.join(', ')}: of a GET from the query, else from JSON.` }
        : {}),
    }),
    ApiResponse({ status: 200, description: 'As the MLflow REST API answers' }),
    ApiResponse({ status: '4XX', description: 'Refused', schema: ERROR }),
    ApiResponse({ status: '5XX', description: 'Failed, or not implemented', schema: ERROR }),
  );
}

export const InvocationsDocs = (): MethodDecorator =>
  applyDecorators(
    describeMlflow('Predict as the MLflow scoring server does', []),
    ApiQuery({
      name: 'model',
      required: false,
      description: 'digits or digits@canary; without it GRIDSTOW_DEFAULT_MODEL',
    }),
    ApiBody({
      description: 'Exactly one of these',
      schema: {
        type: 'object',
        properties: {
          dataframe_split: {
            type: 'object',
            properties: {
              columns: { type: 'array', items: { type: 'string' } },
              data: { type: 'array', items: { type: 'array', items: {} } },
            },
          },
          dataframe_records: { type: 'array', items: { type: 'object' } },
          instances: { type: 'array', items: {} },
          inputs: { description: 'Whole tensors: the only one, or by name' },
        },
      },
    }),
  );
