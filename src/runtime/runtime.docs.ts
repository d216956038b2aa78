import { applyDecorators } from '@nestjs/common';
import {
  ApiConflictResponse,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiOperation,
  ApiServiceUnavailableResponse,
  ApiTags,
  ApiUnprocessableEntityResponse,
} from '@nestjs/swagger';

const VERSION_IN_MEMORY = {
  type: 'object',
  required: ['model', 'version', 'loaded', 'executors'],
  properties: {
    model: { type: 'string', example: 'digits' },
    version: { type: 'integer', example: 3 },
    loaded: { type: 'boolean' },
    executors: {
      type: 'array',
      items: { type: 'integer' },
      description: 'The executors that have the version in memory',
    },
  },
};

const RUNTIME = {
  type: 'object',
  required: ['engine', 'budgetBytes', 'usedBytes', 'waiting', 'executors'],
  properties: {
    engine: {
      type: 'object',
      properties: {
        ready: { type: 'boolean' },
        name: { type: 'string', example: 'wasm' },
        why: { type: 'string' },
      },
    },
    budgetBytes: { type: 'integer' },
    usedBytes: { type: 'integer' },
    waiting: { type: 'integer', description: 'Predictions that wait for an executor' },
    queues: {
      type: 'array',
      description: 'Who waits, those first that have waited longest',
      items: {
        type: 'object',
        properties: {
          version: { type: 'string', example: 'digits/3' },
          engine: { type: 'string', example: 'wasm' },
          waiting: { type: 'integer' },
        },
      },
    },
    recentLoads: {
      type: 'array',
      description: 'The last loads into executors, the newest first',
      items: {
        type: 'object',
        properties: {
          version: { type: 'string', example: 'digits/3' },
          executor: { type: 'integer' },
          engine: { type: 'string', example: 'wasm' },
          at: { type: 'string', format: 'date-time' },
          ms: { type: 'integer' },
          ok: { type: 'boolean' },
          reason: { type: 'string', description: 'Why it failed' },
        },
      },
    },
    failedLoads: {
      type: 'array',
      description: 'Versions whose last load failed, and when the next may be tried',
      items: {
        type: 'object',
        properties: {
          version: { type: 'string', example: 'digits/3' },
          failures: { type: 'integer' },
          retryInMs: { type: 'integer' },
          reason: { type: 'string' },
        },
      },
    },
    executors: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          id: { type: 'integer' },
          engine: { type: 'string' },
          pid: { type: 'integer', nullable: true },
          busy: { type: 'boolean' },
          restarts: { type: 'integer' },
          versions: {
            type: 'array',
            items: {
              type: 'object',
              properties: {
                model: { type: 'string' },
                version: { type: 'integer' },
                state: { type: 'string', enum: ['loading', 'ready'] },
                bytes: { type: 'integer' },
                leases: {
                  type: 'integer',
                  description: 'Calls under way that keep it in memory',
                },
                pinned: { type: 'boolean' },
              },
            },
          },
          tensors: { type: 'integer' },
          rssBytes: { type: 'integer' },
        },
      },
    },
  },
};

export function DescribeRuntimeDocs(): MethodDecorator {
  return applyDecorators(
    ApiTags('operations'),
    ApiOperation({ summary: 'Executors, engines, and the versions in memory' }),
    ApiOkResponse({ schema: RUNTIME }),
  );
}

export function LoadVersionDocs(): MethodDecorator {
  return applyDecorators(
    ApiTags('versions'),
    ApiOperation({ summary: 'Load a version into memory and run it once' }),
    ApiOkResponse({ description: 'It is loaded and warm', schema: VERSION_IN_MEMORY }),
    ApiNotFoundResponse({ description: 'No such model or version' }),
    ApiConflictResponse({ description: 'The version is not ready' }),
    ApiUnprocessableEntityResponse({ description: 'No engine here can run it' }),
    ApiServiceUnavailableResponse({ description: 'It does not fit into the memory budget now' }),
  );
}

export function UnloadVersionDocs(): MethodDecorator {
  return applyDecorators(
    ApiTags('versions'),
    ApiOperation({ summary: 'Take a version out of memory; the next prediction loads it again' }),
    ApiOkResponse({ description: 'No executor has it any more', schema: VERSION_IN_MEMORY }),
    ApiNotFoundResponse({ description: 'No such model or version' }),
    ApiConflictResponse({ description: 'The version is not ready' }),
  );
}
