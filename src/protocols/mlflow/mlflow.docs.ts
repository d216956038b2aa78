import { applyDecorators } from '@nestjs/common';
import { ApiOperation, ApiResponse } from '@nestjs/swagger';

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
