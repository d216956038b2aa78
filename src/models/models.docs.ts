import { applyDecorators } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiHeader,
  ApiParam,
  ApiQuery,
  ApiResponse,
  type ApiResponseOptions,
} from '@nestjs/swagger';

import { describeRoute, type FailureStatus } from '../http/route-docs';
import {
  ALIAS_SCHEMA,
  FILE_SCHEMA,
  MODEL_SCHEMA,
  MOVE_SCHEMA,
  pageOf,
  VERSION_SCHEMA,
} from './models.schemas';
import { PromoteDto, RollbackDto } from './alias.dto';
import { ChangeModelDto, ChangeVersionDto } from './model.dto';
import { VERSION_STATES } from './version';
import { SORTS } from './versions.repository';

const Model = ApiParam({ name: 'model', example: 'digits' });
const Version = ApiParam({ name: 'version', schema: { type: 'integer', minimum: 1 } });
const Alias = ApiParam({ name: 'alias', example: 'live' });
const IfMatch = ApiHeader({ name: 'If-Match', required: false, example: '"3"' });
const IdempotencyKey = ApiHeader({
  name: 'Idempotency-Key',
  required: false,
  description: 'Repeating the request under the same key within 24 hours repeats its answer',
});
const Paged = applyDecorators(
  query('limit', { type: 'integer', minimum: 1, maximum: 1000, default: 50 }),
  query('cursor', { type: 'string' }),
);

function query(name: string, schema: object, isArray = false): MethodDecorator {
  return ApiQuery({ name, required: false, schema, isArray });
}

function answer(status: number, description: string, schema?: object): MethodDecorator {
  const options: ApiResponseOptions = { status, description, ...(schema ? { schema } : {}) };
  return ApiResponse(options);
}

const READ: readonly FailureStatus[] = [400, 404, 422, 503];
const WRITE: readonly FailureStatus[] = [400, 404, 409, 415, 422, 503];

export const ListModelsDocs = (): MethodDecorator =>
  describeRoute(
    'List models, newest first',
    [400, 503],
    Paged,
    query('q', { type: 'string', description: 'Start of the name' }),
    query('tag', { type: 'array', items: { type: 'string', example: 'team:vision' } }),
    answer(200, 'A page of models', pageOf(MODEL_SCHEMA)),
  );

export const GetModelDocs = (): MethodDecorator =>
  describeRoute('Show a model', READ, Model, answer(200, 'The model', MODEL_SCHEMA));

export const ChangeModelDocs = (): MethodDecorator =>
  describeRoute(
    'Describe a model, or set how it records, batches, and how long its records are kept',
    WRITE,
    Model,
    ApiBody({ type: ChangeModelDto }),
    answer(200, 'The model', MODEL_SCHEMA),
  );

export const DeleteModelDocs = (): MethodDecorator =>
  describeRoute(
    'Delete a model with all its versions; only when nothing is aliased',
    WRITE,
    Model,
    answer(204, 'Gone'),
  );

export const UploadDocs = (): MethodDecorator =>
  describeRoute(
    'Upload a version: a form of files, a tar, tar.gz or zip, or a single file',
    [400, 404, 409, 413, 415, 422, 503],
    Model,
    query('promote', { type: 'string', description: 'Alias to move here when ready' }),
    query('dryRun', { type: 'boolean', description: 'Check everything, store nothing' }),
    query('filename', { type: 'string', description: 'Path of a single file sent as the body' }),
    query('metadata', {
      type: 'string',
      description: 'Metadata as JSON, for bodies without a form',
    }),
    ApiHeader({ name: 'Content-Digest', required: false }),
    IdempotencyKey,
    ApiConsumes(
      'multipart/form-data',
      'application/x-tar',
      'application/gzip',
      'application/zip',
      'application/octet-stream',
    ),
    ApiBody({
      schema: {
        type: 'object',
        properties: {
          metadata: { type: 'string', description: 'VersionMetadata as JSON' },
          file: { type: 'array', items: { type: 'string', format: 'binary' } },
        },
      },
    }),
    answer(201, 'The new version, ready', VERSION_SCHEMA),
    answer(200, 'The version that already has this content, or the dry run', VERSION_SCHEMA),
  );

export const ListVersionsDocs = (): MethodDecorator =>
  describeRoute(
    'Search the versions of a model',
    READ,
    Model,
    Paged,
    query('state', { type: 'array', items: { type: 'string', enum: [...VERSION_STATES] } }),
    query('tag', { type: 'array', items: { type: 'string', example: 'team:vision' } }),
    query('metric', { type: 'array', items: { type: 'string', example: 'accuracy>=0.9' } }),
    query('since', { type: 'string', format: 'date-time' }),
    query('sort', { type: 'string', enum: [...SORTS] }),
    answer(200, 'A page of versions', pageOf(VERSION_SCHEMA)),
  );

export const GetVersionDocs = (): MethodDecorator =>
  describeRoute('Show a version', READ, Model, Version, answer(200, 'The version', VERSION_SCHEMA));

export const ChangeVersionDocs = (): MethodDecorator =>
  describeRoute(
    'Change description, tags or metrics of a version',
    WRITE,
    Model,
    Version,
    ApiBody({ type: ChangeVersionDto }),
    answer(200, 'The version', VERSION_SCHEMA),
  );

export const DeleteVersionDocs = (): MethodDecorator =>
  describeRoute('Delete a version that no alias holds', WRITE, Model, Version, answer(204, 'Gone'));

export const ListFilesDocs = (): MethodDecorator =>
  describeRoute(
    'List the files of a version',
    READ,
    Model,
    Version,
    answer(200, 'All of them, in the order of their paths', pageOf(FILE_SCHEMA)),
  );

export const DownloadFileDocs = (): MethodDecorator =>
  describeRoute(
    'Download a file byte for byte; model.json works as a browser loadLayersModel URL',
    [404, 409, 416, 422, 503],
    Model,
    Version,
    ApiParam({ name: 'path', example: 'model.json' }),
    answer(200, 'The bytes'),
    answer(206, 'The range that was asked for'),
    answer(304, 'Unchanged, as always'),
  );

export const DownloadArchiveDocs = (): MethodDecorator =>
  describeRoute(
    'Download a whole version as a tar',
    [400, 404, 409, 422, 503],
    Model,
    Version,
    answer(200, 'The tar'),
  );

export const GetAliasDocs = (): MethodDecorator =>
  describeRoute(
    'Where an alias points, or pointed at a time',
    READ,
    Model,
    Alias,
    query('at', { type: 'string', format: 'date-time' }),
    answer(200, 'The version and the move that made it so', ALIAS_SCHEMA),
  );

export const AliasHistoryDocs = (): MethodDecorator =>
  describeRoute(
    'Every move of an alias, newest first',
    READ,
    Model,
    Alias,
    Paged,
    answer(200, 'A page of moves', pageOf(MOVE_SCHEMA)),
  );

export const PromoteDocs = (): MethodDecorator =>
  describeRoute(
    'Promote: point an alias at a ready version, once it is warm',
    [...WRITE, 412],
    Model,
    Alias,
    IfMatch,
    IdempotencyKey,
    ApiBody({ type: PromoteDto }),
    answer(200, 'Where the alias points now', ALIAS_SCHEMA),
  );

export const RemoveAliasDocs = (): MethodDecorator =>
  describeRoute(
    'Take an alias away; its history stays',
    [400, 404, 412, 422, 503],
    Model,
    Alias,
    IfMatch,
    answer(204, 'Gone'),
  );

export const RollbackDocs = (): MethodDecorator =>
  describeRoute(
    'Roll an alias back to the version before, to a version, or to a time',
    WRITE,
    Model,
    IdempotencyKey,
    ApiBody({ type: RollbackDto }),
    answer(200, 'From where to where', {
      type: 'object',
      properties: {
        alias: { type: 'string' },
        from: { type: 'integer', nullable: true },
        to: { type: 'integer', nullable: true },
        revision: { type: 'integer' },
      },
    }),
  );
