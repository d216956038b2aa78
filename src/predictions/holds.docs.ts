import { applyDecorators } from '@nestjs/common';
import { ApiBody, ApiParam, ApiQuery, ApiResponse } from '@nestjs/swagger';

import { describeRoute } from '../http/route-docs';
import { HOLD_KINDS } from '../models/holds.repository';
import { pageOf } from '../models/models.schemas';
import { HoldDto } from './hold.dto';

const TEXT = { type: 'string' } as const;

export const HOLD_SCHEMA = {
  type: 'object',
  properties: {
    kind: { ...TEXT, enum: [...HOLD_KINDS] },
    target: { ...TEXT, description: 'A name, an id or a digest' },
    reason: TEXT,
    heldAt: { ...TEXT, format: 'date-time' },
  },
};

const PATTERNS = { model: undefined, id: '^[0-9a-fA-F]{24}$', digest: '^sha256:[0-9a-f]{64}$' };

function parameter(name: keyof typeof PATTERNS): MethodDecorator {
  const pattern = PATTERNS[name];
  return ApiParam({ name, schema: { type: 'string', ...(pattern ? { pattern } : {}) } });
}

export const HoldDocs = (what: string, name: keyof typeof PATTERNS): MethodDecorator =>
  describeRoute(
    `Hold ${what}: nobody erases it, and it outlives every limit. A new reason replaces the one before`,
    [400, 404, 415, 422, 503],
    parameter(name),
    ApiBody({ type: HoldDto }),
    ApiResponse({ status: 200, description: 'The hold', schema: HOLD_SCHEMA }),
  );

export const ReleaseDocs = (what: string, name: keyof typeof PATTERNS): MethodDecorator =>
  describeRoute(
    `Take the hold on ${what} away`,
    [400, 404, 422, 503],
    parameter(name),
    ApiResponse({ status: 204, description: 'Held no more by itself' }),
  );

export const PagedDocs = (): MethodDecorator =>
  applyDecorators(
    ApiQuery({
      name: 'limit',
      required: false,
      schema: { type: 'integer', minimum: 1, maximum: 1000, default: 50 },
    }),
    ApiQuery({ name: 'cursor', required: false, schema: TEXT }),
  );

export const ListHoldsDocs = (): MethodDecorator =>
  describeRoute(
    'List what is held, by kind and target',
    [400, 503],
    PagedDocs(),
    ApiResponse({ status: 200, description: 'A page of holds', schema: pageOf(HOLD_SCHEMA) }),
  );
