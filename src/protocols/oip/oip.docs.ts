import { applyDecorators } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiOperation,
  ApiParam,
  ApiProduces,
  ApiResponse,
  type ApiResponseOptions,
} from '@nestjs/swagger';

import { DATATYPES } from './oip-datatypes';

type SchemaObject = NonNullable<Extract<ApiResponseOptions, { schema: unknown }>['schema']>;

const TEXT = { type: 'string' } as const;
const TEXTS = { type: 'array', items: TEXT } as const;
const FLAG = { type: 'boolean' } as const;
const PARAMETERS = { type: 'object', additionalProperties: true } as const;
const SHAPE = { type: 'array', items: { type: 'integer' } } as const;
const DATATYPE = { type: 'string', enum: Object.keys(DATATYPES) };
const DATA = { type: 'array', items: {}, description: 'Flat or nested, row-major' } as const;

const ERROR: SchemaObject = { type: 'object', required: ['error'], properties: { error: TEXT } };

const FAILURES = {
  400: 'The request does not fit the protocol or the model, or the model cannot be asked',
  404: 'There is no such model, alias or version',
  415: 'The body is packed by something else than gzip or deflate',
  501: 'A part of the protocol that this server does not have',
  503: 'Not now, or not in time; Retry-After says when',
} as const;

function describe(
  summary: string,
  answer: SchemaObject,
  failures: readonly (keyof typeof FAILURES)[],
  ...others: MethodDecorator[]
): MethodDecorator {
  return applyDecorators(
    ApiOperation({ summary }),
    ApiResponse({ status: 200, description: 'As asked', schema: answer }),
    ...failures.map((status) =>
      ApiResponse({ status, description: FAILURES[status], schema: ERROR }),
    ),
    ...others,
  );
}

const Model = (): MethodDecorator =>
  ApiParam({ name: 'model', schema: TEXT, description: 'digits or digits@canary' });

const object = (properties: Record<string, object>): SchemaObject => ({
  type: 'object',
  properties,
});

export const ServerMetadataDocs = (): MethodDecorator =>
  describe(
    'Name this server and the extensions that it has',
    object({ name: TEXT, version: TEXT, extensions: TEXTS }),
    [],
  );

export const HealthLiveDocs = (): MethodDecorator =>
  describe('Whether the process is alive', object({ live: FLAG, ready: FLAG }), []);

export const HealthReadyDocs = (): MethodDecorator =>
  describe('Whether requests can be served', object({ live: FLAG, ready: FLAG }), [400]);

export const ModelReadyDocs = (): MethodDecorator =>
  describe(
    'Whether a model can be asked; it is loaded by its first request',
    object({ name: TEXT, live: FLAG, ready: FLAG }),
    [400, 404, 503],
    Model(),
  );

const TENSOR = { type: 'object', properties: { name: TEXT, datatype: DATATYPE, shape: SHAPE } };

export const ModelMetadataDocs = (): MethodDecorator =>
  describe(
    'Say what a model takes and gives',
    object({
      name: TEXT,
      versions: TEXTS,
      platform: TEXT,
      inputs: { type: 'array', items: TENSOR },
      outputs: { type: 'array', items: TENSOR },
    }),
    [400, 404, 503],
    Model(),
  );

export const ModelConfigDocs = (): MethodDecorator =>
  describe(
    'Show the configuration of a model in the terms of Triton',
    object({
      name: TEXT,
      platform: TEXT,
      backend: TEXT,
      max_batch_size: { type: 'integer' },
      input: { type: 'array', items: PARAMETERS },
      output: { type: 'array', items: PARAMETERS },
    }),
    [400, 404, 503],
    Model(),
  );

export const InferDocs = (): MethodDecorator =>
  describe(
    'Infer, recorded as every prediction; binary tensors follow the JSON of Inference-Header-Content-Length bytes',
    object({
      model_name: TEXT,
      model_version: TEXT,
      id: TEXT,
      parameters: object({ prediction_id: TEXT }),
      outputs: {
        type: 'array',
        items: object({
          name: TEXT,
          shape: SHAPE,
          datatype: DATATYPE,
          parameters: PARAMETERS,
          data: DATA,
        }),
      },
    }),
    [400, 404, 415, 501, 503],
    Model(),
    ApiConsumes('application/json', 'application/octet-stream'),
    ApiProduces('application/json', 'application/octet-stream'),
    ApiBody({
      schema: {
        type: 'object',
        required: ['inputs'],
        properties: {
          id: TEXT,
          parameters: PARAMETERS,
          inputs: {
            type: 'array',
            items: {
              type: 'object',
              required: ['name', 'shape', 'datatype'],
              properties: {
                name: TEXT,
                shape: SHAPE,
                datatype: DATATYPE,
                parameters: PARAMETERS,
                data: DATA,
              },
            },
          },
          outputs: {
            type: 'array',
            items: {
              type: 'object',
              required: ['name'],
              properties: { name: TEXT, parameters: PARAMETERS },
            },
          },
        },
      },
    }),
  );

export const RepositoryIndexDocs = (): MethodDecorator =>
  describe(
    'List every version with its state; the body may be empty',
    {
      type: 'array',
      items: object({
        name: TEXT,
        version: TEXT,
        state: { type: 'string', enum: ['READY', 'UNAVAILABLE', 'LOADING', 'UNLOADING'] },
        reason: TEXT,
      }),
    },
    [400, 503],
    ApiBody({ required: false, schema: object({ ready: FLAG }) }),
  );

const EMPTY: SchemaObject = { type: 'string', maxLength: 0 };

export const LoadModelDocs = (): MethodDecorator =>
  describe('Load a model into memory', EMPTY, [400, 404, 501, 503], Model());

export const UnloadModelDocs = (): MethodDecorator =>
  describe('Take a model out of memory', EMPTY, [400, 404, 503], Model());

export const StatisticsDocs = (): MethodDecorator =>
  describe(
    'Say what versions did since the start of this process',
    object({ model_stats: { type: 'array', items: PARAMETERS } }),
    [400, 404, 503],
  );
