import { ApiBody, ApiConsumes, ApiParam, ApiQuery, ApiResponse } from '@nestjs/swagger';

import { describeRoute } from '../http/route-docs';

const TEXT = { type: 'string' } as const;
const LABEL = {
  description: 'The true label; for predictions of several rows a list with one per row',
  oneOf: [TEXT, { type: 'array', items: TEXT }],
  example: '7',
};
const VALUES = {
  description:
    'The true numbers, nested or flat, of the first output; or an object of such by output. At most 16384',
};
const SOURCE = { ...TEXT, maxLength: 256, description: 'Who says so' };
const TRUTH = { label: LABEL, values: VALUES, source: SOURCE };
const GIVEN = { ...TRUTH, givenAt: { type: 'string', format: 'date-time' } };

export const FEEDBACK_SCHEMA = {
  type: 'object',
  description: 'What turned out to be true',
  properties: {
    ...GIVEN,
    revision: { type: 'integer', minimum: 1 },
    history: {
      type: 'array',
      description: 'What was said before, newest first; at most 100',
      items: { type: 'object', properties: GIVEN },
    },
  },
};

const Truth = ApiBody({
  schema: {
    type: 'object',
    additionalProperties: false,
    description: 'Either label or values',
    properties: TRUTH,
  },
});

const Given = ApiResponse({
  status: 200,
  description: 'The truth that counts now. Saying the same again changes nothing',
  schema: {
    ...FEEDBACK_SCHEMA,
    properties: {
      ...FEEDBACK_SCHEMA.properties,
      predictionId: TEXT,
      model: TEXT,
      callerId: TEXT,
      isKnown: {
        type: 'boolean',
        description: 'False: no such prediction is recorded yet; it is joined when it is',
      },
    },
  },
});

export const GiveFeedbackDocs = (): MethodDecorator =>
  describeRoute(
    'Say what turned out to be true of a prediction; replaces what was said before',
    [400, 413, 415, 422, 503],
    ApiParam({ name: 'id', schema: { type: 'string', pattern: '^[0-9a-fA-F]{24}$' } }),
    Truth,
    Given,
  );

export const GiveCallersFeedbackDocs = (): MethodDecorator =>
  describeRoute(
    'Say what turned out to be true of the predictions that a model made under a caller’s id',
    [400, 413, 415, 422, 503],
    ApiQuery({ name: 'model', required: true, schema: TEXT }),
    ApiQuery({ name: 'callerId', required: true, schema: TEXT }),
    Truth,
    Given,
  );

export const GiveAllFeedbackDocs = (): MethodDecorator =>
  describeRoute(
    'Feedback in bulk, one JSON object per line, of any length; good lines count whatever the others are',
    [400, 413, 415, 422, 503],
    ApiConsumes('application/x-ndjson'),
    ApiBody({
      schema: {
        type: 'string',
        description: 'Lines with predictionId, or with model and callerId, and label or values',
        example:
          '{"predictionId":"66f2…","label":"7"}\n{"model":"digits","callerId":"a","label":"1"}\n',
      },
    }),
    ApiResponse({
      status: 200,
      description: 'How many lines count, and what is wrong with the others',
      schema: {
        type: 'object',
        properties: {
          accepted: { type: 'integer' },
          refused: { type: 'integer' },
          faults: {
            type: 'array',
            items: { type: 'object', properties: { path: TEXT, message: TEXT } },
          },
        },
      },
    }),
  );
