import { ApiPropertyOptional } from '@nestjs/swagger';
import {
  ArrayMaxSize,
  IsArray,
  IsIn,
  IsInt,
  IsPositive,
  IsString,
  MaxLength,
} from 'class-validator';

import { type Signature } from '../common/tensor';
import { IsMetrics, IsPlainJson, IsSignature, IsTags, MayBeLeftOut } from '../http/dto-rules';

/** What an uploader says about a version. Nothing of it is needed; unknown keys are refused. */
export class VersionMetadata {
  @ApiPropertyOptional({ example: 'Two hidden layers, 12 epochs' })
  @MayBeLeftOut()
  @IsString()
  @MaxLength(4096)
  readonly description?: string;

  @ApiPropertyOptional({ example: 'tfjs 4.22' })
  @MayBeLeftOut()
  @IsString()
  @MaxLength(256)
  readonly framework?: string;

  @ApiPropertyOptional({ type: 'object', additionalProperties: true, example: { epochs: 12 } })
  @MayBeLeftOut()
  @IsPlainJson()
  readonly trainingParameters?: Record<string, unknown>;

  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: { type: 'number' },
    example: { accuracy: 0.98 },
  })
  @MayBeLeftOut()
  @IsMetrics()
  readonly metrics?: Record<string, number>;

  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: { type: 'string' },
    example: { team: 'vision' },
  })
  @MayBeLeftOut()
  @IsTags()
  readonly tags?: Record<string, string>;

  @ApiPropertyOptional({ type: [String], example: ['zero', 'one'] })
  @MayBeLeftOut()
  @IsArray()
  @ArrayMaxSize(100_000)
  @IsString({ each: true })
  @MaxLength(256, { each: true })
  readonly labels?: string[];

  /** Only where it cannot be derived from the files. */
  @ApiPropertyOptional({ type: 'object', additionalProperties: true })
  @MayBeLeftOut()
  @IsSignature()
  readonly signature?: Signature;

  /** How images become the input: read by `parseRecipe` once the signature is known. */
  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: true,
    example: { image: { resize: { height: 224, width: 224 }, scale: { multiply: 1 / 255 } } },
  })
  @MayBeLeftOut()
  @IsPlainJson()
  readonly recipe?: unknown;

  /** The version that this one was trained from. */
  @ApiPropertyOptional({ example: 2 })
  @MayBeLeftOut()
  @IsInt()
  @IsPositive()
  readonly parent?: number;

  /** Forces an artifact to be kept without being opened. */
  @ApiPropertyOptional({ enum: ['opaque'] })
  @MayBeLeftOut()
  @IsIn(['opaque'])
  readonly format?: 'opaque';
}
