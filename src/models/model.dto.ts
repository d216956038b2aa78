import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsInt, IsOptional, IsString, Max, MaxLength, Min } from 'class-validator';

import { IsMetrics, IsNested, IsTags, MayBeLeftOut } from '../http/dto-rules';
import { type BatchingSettings, type ModelSummary, type RetentionSetting } from './model.doc';
import { RECORDING_SCHEMA } from './models.schemas';
import { IsRecording, type RecordingSetting } from './recording';
import { fromPairs } from './version.doc';

/** How requests for a model are gathered into batches. */
export class BatchingDto implements BatchingSettings {
  @ApiPropertyOptional({ example: 32 })
  @MayBeLeftOut()
  @IsInt()
  @Min(1)
  @Max(65_536)
  readonly maxRows?: number;

  @ApiPropertyOptional({ example: 5 })
  @MayBeLeftOut()
  @IsInt()
  @Min(0)
  @Max(10_000)
  readonly maxDelayMs?: number;

  @ApiPropertyOptional({ example: 256 })
  @MayBeLeftOut()
  @IsInt()
  @Min(1)
  @Max(1_000_000)
  readonly maxQueue?: number;
}

/** Which records are kept; with both limits the stricter one counts. */
export class RetentionDto implements RetentionSetting {
  @ApiPropertyOptional({ example: 90 })
  @MayBeLeftOut()
  @IsInt()
  @Min(1)
  @Max(36_500)
  readonly maxAgeDays?: number;

  @ApiPropertyOptional({ example: 1_000_000 })
  @MayBeLeftOut()
  @IsInt()
  @Min(1)
  @Max(1_000_000_000)
  readonly maxRecords?: number;
}

/** Changes of a model; what is left out stays, `null` takes a setting away. */
export class ChangeModelDto {
  @ApiPropertyOptional({ example: 'Handwritten digits' })
  @MayBeLeftOut()
  @IsString()
  @MaxLength(4096)
  readonly description?: string;

  @ApiPropertyOptional({ type: 'object', additionalProperties: { type: 'string' } })
  @MayBeLeftOut()
  @IsTags()
  readonly tags?: Record<string, string>;

  @ApiPropertyOptional({ ...RECORDING_SCHEMA, nullable: true })
  @IsOptional()
  @IsRecording()
  readonly recording?: RecordingSetting | null;

  @ApiPropertyOptional({ type: BatchingDto, nullable: true })
  @IsOptional()
  @IsNested(BatchingDto)
  readonly batching?: BatchingDto | null;

  @ApiPropertyOptional({ type: RetentionDto, nullable: true })
  @IsOptional()
  @IsNested(RetentionDto)
  readonly retention?: RetentionDto | null;
}

/** Changes of a version: nothing that its digest covers. */
export class ChangeVersionDto {
  @ApiPropertyOptional()
  @MayBeLeftOut()
  @IsString()
  @MaxLength(4096)
  readonly description?: string;

  @ApiPropertyOptional({ type: 'object', additionalProperties: { type: 'string' } })
  @MayBeLeftOut()
  @IsTags()
  readonly tags?: Record<string, string>;

  @ApiPropertyOptional({ type: 'object', additionalProperties: { type: 'number' } })
  @MayBeLeftOut()
  @IsMetrics()
  readonly metrics?: Record<string, number>;
}

/** A model as the API shows it. */
export interface ModelAnswer {
  readonly model: string;
  readonly description: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly recording?: RecordingSetting;
  readonly batching?: BatchingSettings;
  readonly retention?: RetentionSetting;
  readonly latestVersion: number | null;
  readonly versions: number;
  readonly aliases: Readonly<Record<string, number>>;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export function toModelAnswer(summary: ModelSummary): ModelAnswer {
  const { recording, batching, retention } = summary;
  return {
    model: summary._id,
    description: summary.description,
    tags: fromPairs(summary.tags),
    ...(recording ? { recording } : {}),
    ...(batching ? { batching } : {}),
    ...(retention ? { retention } : {}),
    latestVersion: summary.latestReady,
    versions: summary.readyVersions,
    aliases: summary.aliases,
    createdAt: summary.createdAt.toISOString(),
    updatedAt: summary.updatedAt.toISOString(),
  };
}
