import { ApiParam, ApiResponse } from '@nestjs/swagger';

import { describeRoute } from '../http/route-docs';
import { ERASED_SCHEMA } from './predictions.schemas';

const Id = ApiParam({ name: 'id', schema: { type: 'string', pattern: '^[0-9a-fA-F]{24}$' } });

const DIGEST = { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' };

export const GetProofDocs = (): MethodDecorator =>
  describeRoute(
    'The digests that a prediction can be checked by, and the manifest of its version',
    [400, 404, 503],
    Id,
    ApiResponse({
      status: 200,
      description: 'Keep recordDigest somewhere else; npm run verify-record checks the rest by it',
      schema: {
        type: 'object',
        required: ['facts', 'recordDigest', 'manifest'],
        properties: {
          recordDigest: DIGEST,
          facts: {
            type: 'object',
            properties: {
              predictionId: { type: 'string' },
              model: { type: 'string' },
              version: { type: 'integer' },
              versionDigest: DIGEST,
              alias: { type: 'string', nullable: true },
              protocol: { type: 'string' },
              status: { type: 'string' },
              rows: { type: 'integer' },
              callerId: { type: 'string', nullable: true },
              tags: { type: 'object', additionalProperties: { type: 'string' } },
              createdAt: { type: 'string', format: 'date-time' },
              inputDigest: DIGEST,
              recipeDigest: { ...DIGEST, nullable: true },
              outputsDigest: { ...DIGEST, nullable: true },
            },
          },
          manifest: { type: 'object', additionalProperties: true },
          inputErased: {
            ...ERASED_SCHEMA,
            nullable: true,
            description: 'Set when the bytes of the input were erased since; no part of the facts',
          },
        },
      },
    }),
  );

export const GetOutputsDocs = (): MethodDecorator =>
  describeRoute(
    'Download the outputs as a safetensors file; its sha256 stands in the proof',
    [400, 404, 503],
    Id,
    ApiResponse({
      status: 200,
      description: 'The outputs, bit for bit',
      content: {
        'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
      },
    }),
  );
