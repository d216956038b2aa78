import { ApiParam, ApiQuery, ApiResponse } from '@nestjs/swagger';

import { describeRoute } from '../http/route-docs';
import { pageOf } from '../models/models.schemas';
import { AUDIT_ACTIONS } from './audit.repository';
import { HOLD_SCHEMA, PagedDocs } from './holds.docs';

const TEXT = { type: 'string' } as const;
const TIME = { ...TEXT, format: 'date-time' } as const;
const COUNT = { type: 'integer', minimum: 0 } as const;
const SETTING = {
  type: 'object',
  nullable: true,
  properties: { maxAgeDays: COUNT, maxRecords: COUNT },
} as const;

export const RetentionDocs = (): MethodDecorator =>
  describeRoute(
    'Show how long the records of a model are kept, how many there are, and how many were removed',
    [400, 404, 422, 503],
    ApiParam({ name: 'model', example: 'digits' }),
    ApiResponse({
      status: 200,
      description: 'recorded = stored + removed',
      schema: {
        type: 'object',
        properties: {
          model: TEXT,
          retention: SETTING,
          hold: { ...HOLD_SCHEMA, nullable: true },
          records: {
            type: 'object',
            properties: { recorded: COUNT, stored: COUNT, removed: COUNT, due: COUNT },
          },
          removed: {
            type: 'object',
            properties: { records: COUNT, feedback: COUNT, bytes: COUNT },
          },
          lastRemovedAt: { ...TIME, nullable: true },
        },
      },
    }),
  );

export const ListAuditDocs = (): MethodDecorator =>
  describeRoute(
    'List what was erased and removed, newest first',
    [400, 503],
    PagedDocs(),
    ApiQuery({ name: 'action', required: false, schema: { ...TEXT, enum: [...AUDIT_ACTIONS] } }),
    ApiQuery({ name: 'model', required: false, schema: TEXT }),
    ApiQuery({ name: 'digest', required: false, schema: TEXT }),
    ApiResponse({
      status: 200,
      description: 'A page of entries; doneAt is null while the bytes are still going',
      schema: pageOf({
        type: 'object',
        properties: {
          auditId: TEXT,
          action: { ...TEXT, enum: [...AUDIT_ACTIONS] },
          digest: TEXT,
          predictionId: TEXT,
          reason: TEXT,
          model: TEXT,
          retention: SETTING,
          records: COUNT,
          feedback: COUNT,
          inputs: COUNT,
          bytes: COUNT,
          at: TIME,
          doneAt: { ...TIME, nullable: true },
        },
      }),
    }),
  );
