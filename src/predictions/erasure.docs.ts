import { ApiParam, ApiQuery, ApiResponse } from '@nestjs/swagger';

import { describeRoute } from '../http/route-docs';

const TIME = { type: 'string', format: 'date-time' } as const;
const Reason = ApiQuery({ name: 'reason', required: false, schema: { type: 'string' } });
const Erased = ApiResponse({
  status: 200,
  description: 'The entry that stays in the audit',
  schema: {
    type: 'object',
    properties: {
      auditId: { type: 'string' },
      digest: { type: 'string' },
      predictions: { type: 'integer', description: 'Records that were made from it; they stay' },
      reason: { type: 'string' },
      at: TIME,
      doneAt: TIME,
    },
  },
});

export const ErasePredictionInputDocs = (): MethodDecorator =>
  describeRoute(
    'Erase the input of a prediction, for all predictions that were made from it; the records stay',
    [400, 404, 409, 503],
    ApiParam({ name: 'id', schema: { type: 'string', pattern: '^[0-9a-fA-F]{24}$' } }),
    Reason,
    Erased,
  );

export const EraseInputDocs = (): MethodDecorator =>
  describeRoute(
    'Erase an input by its digest; the records of predictions that were made from it stay',
    [400, 404, 409, 503],
    ApiParam({ name: 'digest', schema: { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' } }),
    Reason,
    Erased,
  );
