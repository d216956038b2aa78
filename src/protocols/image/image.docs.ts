import { ApiBody, ApiConsumes, ApiParam, ApiQuery, ApiResponse } from '@nestjs/swagger';

import { describeRoute } from '../../http/route-docs';

const TEXT = { type: 'string' } as const;

const ANSWER = {
  filename: { ...TEXT, nullable: true },
  contenttype: { ...TEXT, nullable: true, description: 'What the bytes are' },
  prediction: {
    type: 'array',
    items: {},
    nullable: true,
    description: 'The values of the first output, flat; in lists left out when over 16 KiB',
  },
  likely_class: {
    oneOf: [TEXT, { type: 'integer' }],
    nullable: true,
    description: 'The label of the highest value, or its place where the version has no labels',
  },
  input_id: { ...TEXT, description: 'sha256 of the image' },
  prediction_id: TEXT,
};

const RECORDED = {
  ...ANSWER,
  model: TEXT,
  version: { type: 'integer' },
  status: TEXT,
  created_at: { ...TEXT, format: 'date-time' },
};

export const PredictImageDocs = (): MethodDecorator =>
  describeRoute(
    'Classify an image; errors carry their sentence in detail',
    [400, 404, 413, 415, 422, 503, 504],
    ApiQuery({
      name: 'model',
      required: false,
      description: 'digits or digits@canary; without it GRIDSTOW_DEFAULT_MODEL',
    }),
    ApiConsumes('multipart/form-data', 'image/*'),
    ApiBody({
      schema: {
        type: 'object',
        required: ['file'],
        properties: { file: { type: 'string', format: 'binary' }, id: TEXT },
      },
    }),
    ApiResponse({
      status: 200,
      description: 'The prediction, recorded',
      schema: { type: 'object', properties: ANSWER },
    }),
  );

export const ListImagesDocs = (): MethodDecorator =>
  describeRoute(
    'List the predictions of the image service, newest first',
    [400, 503],
    ApiQuery({ name: 'model', required: false, schema: TEXT }),
    ApiQuery({
      name: 'limit',
      required: false,
      schema: { type: 'integer', minimum: 1, maximum: 1000, default: 50 },
    }),
    ApiQuery({
      name: 'before',
      required: false,
      schema: TEXT,
      description: 'The last prediction_id of the page before',
    }),
    ApiResponse({
      status: 200,
      description: 'Predictions',
      schema: { type: 'array', items: { type: 'object', properties: RECORDED } },
    }),
  );

export const GetImageDocs = (): MethodDecorator =>
  describeRoute(
    'Show a prediction of the image service with its image',
    [400, 404, 503],
    ApiParam({ name: 'id', schema: { type: 'string', pattern: '^[0-9a-fA-F]{24}$' } }),
    ApiResponse({
      status: 200,
      description:
        'The prediction; input_image holds the exact bytes in base64, or null when they were erased',
      schema: {
        type: 'object',
        properties: { ...RECORDED, input_image: { ...TEXT, nullable: true } },
      },
    }),
  );
