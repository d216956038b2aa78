import { DTYPE_BYTES } from '../common/tensor';
import { FEEDBACK_SCHEMA } from './feedback.docs';
import { INPUT_KINDS, PREDICTION_STATUSES, PROTOCOLS } from './prediction.doc';

const TEXT = { type: 'string' } as const;
const MS = { type: 'number', minimum: 0 } as const;
const COUNT = { type: 'integer', minimum: 0 } as const;
const TEXT_MAP = { type: 'object', additionalProperties: TEXT } as const;
/** A number, or a list of such: nested as deep as the tensor has dimensions. */
const NESTED = {
  description:
    'Nested lists of numbers, booleans or strings. NaN and infinities are the strings "NaN", "Infinity", "-Infinity"',
} as const;

const TOP = {
  type: 'array',
  description: 'Per row up to five labels, best first',
  items: {
    type: 'array',
    items: { type: 'object', properties: { label: TEXT, score: { type: 'number' } } },
  },
} as const;

export const PREDICT_BODY_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  description: 'Either instances or inputs, or files of a form',
  properties: {
    instances: {
      type: 'array',
      minItems: 1,
      items: {},
      description: 'One element per row: the bare value of the only input, or an object by name',
      example: [[0.1, 0.2, 0.3]],
    },
    inputs: {
      description: 'Whole tensors: the bare value of the only input, or an object by name',
    },
    id: { type: 'string', minLength: 1, maxLength: 256, description: 'An id of the caller’s own' },
    tags: TEXT_MAP,
    file: {
      type: 'array',
      maxItems: 64,
      items: { type: 'string', format: 'binary' },
      description:
        'In a form, instead of instances: JPEG, PNG, WebP or GIF images, one row each. A single image may also be the whole body, as image/*',
    },
  },
};

export const PREDICT_ANSWER_SCHEMA = {
  type: 'object',
  required: ['predictionId', 'model', 'version', 'timings', 'rows', 'batchRows'],
  properties: {
    predictionId: {
      type: 'string',
      description: 'Where recording is off, no record stands behind it',
    },
    id: { ...TEXT, description: 'The id that the caller sent' },
    model: TEXT,
    version: { type: 'integer', minimum: 1 },
    alias: TEXT,
    predictions: {
      type: 'array',
      items: NESTED,
      description:
        'For instances: per row the value of the only output, or an object by output name',
    },
    outputs: {
      type: 'object',
      additionalProperties: NESTED,
      description: 'For inputs: each output whole',
    },
    top: TOP,
    timings: {
      type: 'object',
      properties: { queueMs: MS, inferMs: MS, recordMs: MS, totalMs: MS },
    },
    rows: COUNT,
    batchRows: COUNT,
  },
};

const TENSORS = {
  type: 'object',
  additionalProperties: {
    type: 'object',
    properties: {
      dtype: { type: 'string', enum: Object.keys(DTYPE_BYTES) },
      shape: { type: 'array', items: COUNT },
      values: {
        type: 'array',
        items: {},
        description: 'Flat, row-major; left out in lists and for inputs over 8 MiB',
      },
    },
  },
};

export const ERASED_SCHEMA = {
  type: 'object',
  description: 'The bytes of the input were erased, and with them its values',
  properties: { at: { type: 'string', format: 'date-time' }, reason: TEXT },
} as const;

export const PREDICTION_SCHEMA = {
  type: 'object',
  properties: {
    predictionId: TEXT,
    model: TEXT,
    version: { type: 'integer', minimum: 1 },
    digest: { type: 'string', description: 'Of the version that answered' },
    alias: TEXT,
    protocol: { type: 'string', enum: [...PROTOCOLS] },
    status: { type: 'string', enum: [...PREDICTION_STATUSES] },
    error: { type: 'object', properties: { code: TEXT, message: TEXT } },
    callerId: TEXT,
    tags: TEXT_MAP,
    rows: COUNT,
    input: {
      type: 'object',
      properties: {
        digest: { type: 'string', description: 'sha256 of the bytes that …/input answers' },
        kind: { type: 'string', enum: [...INPUT_KINDS] },
        bytes: COUNT,
        contentType: TEXT,
        filename: TEXT,
        recipe: {
          type: 'string',
          description: 'Of images: digest of the recipe that made the tensor',
        },
        tensors: TENSORS,
        erased: ERASED_SCHEMA,
      },
    },
    outputs: TENSORS,
    top: TOP,
    timings: { type: 'object', properties: { queueMs: MS, inferMs: MS, totalMs: MS } },
    createdAt: { type: 'string', format: 'date-time' },
    importedAt: {
      type: 'string',
      format: 'date-time',
      description: 'Of records that were imported',
    },
    feedback: FEEDBACK_SCHEMA,
  },
};
