import { applyDecorators } from '@nestjs/common';
import { ApiOperation, ApiResponse, type ApiResponseOptions } from '@nestjs/swagger';

type SchemaObject = NonNullable<Extract<ApiResponseOptions, { schema: unknown }>['schema']>;

/** What each failing status of the native API means; the body is the same everywhere. */
const FAILURES = {
  400: 'Unreadable: broken JSON, an unknown or malformed parameter',
  404: 'There is no such thing',
  409: 'Not in the state it is in',
  412: 'The revision in If-Match is no longer the newest',
  413: 'Larger than the limit',
  415: 'Another kind of body is expected',
  416: 'The range lies outside the file',
  422: 'Understood and wrong; details.faults says where',
  503: 'Not now; Retry-After says when',
  504: 'Not within the deadline',
} as const;
export type FailureStatus = keyof typeof FAILURES;

/** The schema of every error body. */
export const ERROR_SCHEMA: SchemaObject = {
  type: 'object',
  required: ['error', 'code', 'details', 'requestId'],
  properties: {
    error: { type: 'string', description: 'A sentence for a person' },
    code: { type: 'string', description: 'Stable; programs may branch on it' },
    details: { type: 'object', additionalProperties: true },
    requestId: { type: 'string' },
  },
};

/** One line of description and the failures that a route can answer with. */
export function describeRoute(
  summary: string,
  failures: readonly FailureStatus[],
  ...others: MethodDecorator[]
): MethodDecorator {
  return applyDecorators(
    ApiOperation({ summary }),
    ...failures.map((status) =>
      ApiResponse({ status, description: FAILURES[status], schema: ERROR_SCHEMA }),
    ),
    ...others,
  );
}
