import { DTYPE_BYTES } from '../common/tensor';
import { RECORDING_MODES } from '../config/config';
import { ARTIFACT_FORMATS } from '../formats/artifact-format';
import { NORMALIZED_FROM } from '../formats/keras/normalize-upload';
import { VERSION_STATES } from './version';

const TEXT = { type: 'string' } as const;
const TIME = { type: 'string', format: 'date-time' } as const;
const COUNT = { type: 'integer', minimum: 0 } as const;
const TEXT_MAP = { type: 'object', additionalProperties: TEXT } as const;
const FREE = { type: 'object', additionalProperties: true } as const;

/** A page of items, with the cursor that continues it. */
export function pageOf(items: object): object {
  return {
    type: 'object',
    required: ['items', 'next'],
    properties: { items: { type: 'array', items }, next: { type: 'string', nullable: true } },
  };
}

export const FILE_SCHEMA = {
  type: 'object',
  properties: { path: TEXT, bytes: COUNT, sha256: TEXT, contentType: TEXT },
};

const TENSORS = {
  type: 'array',
  items: {
    type: 'object',
    properties: {
      name: TEXT,
      dtype: { type: 'string', enum: Object.keys(DTYPE_BYTES) },
      shape: { type: 'array', items: { type: 'integer' } },
    },
  },
};

export const VERSION_SCHEMA = {
  type: 'object',
  properties: {
    model: TEXT,
    version: { type: 'integer', minimum: 1 },
    state: { type: 'string', enum: [...VERSION_STATES] },
    format: { type: 'string', enum: [...ARTIFACT_FORMATS] },
    digest: { type: 'string', example: 'sha256:…' },
    createdAt: TIME,
    readyAt: { ...TIME, nullable: true },
    parent: { type: 'integer', nullable: true },
    normalizedFrom: { type: 'string', enum: [...NORMALIZED_FROM, null], nullable: true },
    files: { type: 'array', items: FILE_SCHEMA },
    rawBytes: COUNT,
    storedBytes: COUNT,
    addedBytes: COUNT,
    loadedBytes: COUNT,
    signature: { type: 'object', properties: { inputs: TENSORS, outputs: TENSORS } },
    labels: { type: 'array', items: TEXT, nullable: true },
    recipe: { ...FREE, nullable: true },
    description: TEXT,
    framework: { ...TEXT, nullable: true },
    trainingParameters: FREE,
    metrics: { type: 'object', additionalProperties: { type: 'number' } },
    tags: TEXT_MAP,
    aliases: { type: 'array', items: TEXT },
    engines: FREE,
    compiled: {
      description:
        'What an engine compiled and loads the version from; no part of its digest or its bytes',
      type: 'object',
      nullable: true,
      properties: { engine: TEXT, release: COUNT, digest: TEXT, bytes: COUNT, storedBytes: COUNT },
    },
    warnings: { type: 'array', items: TEXT },
    failure: {
      type: 'object',
      nullable: true,
      properties: { code: TEXT, message: TEXT },
    },
  },
};

const RECORDING_MODE = { type: 'string', enum: [...RECORDING_MODES] };

export const RECORDING_SCHEMA = {
  description: 'How predictions are recorded; with a rate below 1 a random part of them',
  oneOf: [
    RECORDING_MODE,
    {
      type: 'object',
      required: ['mode', 'rate'],
      properties: { mode: RECORDING_MODE, rate: { type: 'number', minimum: 0, maximum: 1 } },
    },
  ],
};

export const MODEL_SCHEMA = {
  type: 'object',
  properties: {
    model: TEXT,
    description: TEXT,
    tags: TEXT_MAP,
    recording: RECORDING_SCHEMA,
    batching: FREE,
    retention: {
      type: 'object',
      properties: { maxAgeDays: COUNT, maxRecords: COUNT },
    },
    latestVersion: { type: 'integer', nullable: true },
    versions: COUNT,
    aliases: { type: 'object', additionalProperties: { type: 'integer' } },
    createdAt: TIME,
    updatedAt: TIME,
  },
};

export const ALIAS_SCHEMA = {
  type: 'object',
  properties: {
    alias: TEXT,
    version: { type: 'integer', nullable: true },
    revision: { type: 'integer', minimum: 1 },
    movedAt: TIME,
    movedBy: TEXT,
    reason: TEXT,
  },
};

export const MOVE_SCHEMA = {
  ...ALIAS_SCHEMA,
  properties: {
    ...ALIAS_SCHEMA.properties,
    kind: { type: 'string', enum: ['first', 'promote', 'rollback', 'remove'] },
    from: { type: 'integer', nullable: true },
  },
};
