import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import {
  IsDefined,
  IsInt,
  IsNumber,
  IsPositive,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
} from 'class-validator';

import { InvalidInputError } from '../common/errors';
import { parseTime } from '../common/time';
import { IsNested, MayBeLeftOut } from '../http/dto-rules';
import { type AliasMoveDoc } from './alias-moves.repository';
import { type RollbackTarget } from './aliases.service';
import { type PromotionRequirements } from './promotion-gate.port';

const MAX_REASON = 1024;

/** How a version has to do on recorded inputs before an alias may move to it. */
export class ReplayRequirementDto {
  /** Largest share of best labels that may differ from the record. */
  @ApiPropertyOptional({ example: 0.02, minimum: 0, maximum: 1 })
  @MayBeLeftOut()
  @IsNumber()
  @Min(0)
  @Max(1)
  readonly maxChangedLabels?: number;

  /** Smallest share of right labels among the rows whose truth is known. */
  @ApiPropertyOptional({ example: 0.9, minimum: 0, maximum: 1 })
  @MayBeLeftOut()
  @IsNumber()
  @Min(0)
  @Max(1)
  readonly minAccuracy?: number;
}

export class PromotionRequirementsDto implements PromotionRequirements {
  @ApiPropertyOptional({ type: ReplayRequirementDto })
  @MayBeLeftOut()
  @IsNested(ReplayRequirementDto)
  readonly replay?: ReplayRequirementDto;
}

export class PromoteDto {
  @ApiProperty({ example: 3 })
  @IsInt()
  @IsPositive()
  readonly version!: number;

  @ApiPropertyOptional({ example: 'better on the held-out set' })
  @MayBeLeftOut()
  @IsString()
  @MaxLength(MAX_REASON)
  readonly reason?: string;

  /** Conditions; when one is not met nothing moves and the answer is 409 with the report. */
  @ApiPropertyOptional({ type: PromotionRequirementsDto })
  @MayBeLeftOut()
  @IsNested(PromotionRequirementsDto)
  readonly require?: PromotionRequirementsDto;
}

export class RollbackDto {
  @ApiPropertyOptional({ example: 'live', default: 'live' })
  @MayBeLeftOut()
  @IsString()
  @Matches(/^.{1,64}$/)
  readonly alias?: string;

  /** `previous`, a version, or `{ "at": "<time>" }`. */
  @ApiProperty({
    oneOf: [
      { type: 'string', enum: ['previous'] },
      { type: 'integer', minimum: 1 },
      { type: 'object', properties: { at: { type: 'string', format: 'date-time' } } },
    ],
    example: 'previous',
  })
  @IsDefined()
  readonly to!: unknown;

  @ApiPropertyOptional({ example: 'answers got worse' })
  @MayBeLeftOut()
  @IsString()
  @MaxLength(MAX_REASON)
  readonly reason?: string;
}

/** Where an alias points, and the move that made it so. */
export interface AliasAnswer {
  readonly alias: string;
  readonly version: number | null;
  readonly revision: number;
  readonly movedAt: string;
  readonly movedBy: string;
  readonly reason: string;
}

/** One entry of an alias' history. */
export interface AliasMoveAnswer extends AliasAnswer {
  readonly kind: string;
  readonly from: number | null;
}

export function toAliasAnswer(move: AliasMoveDoc): AliasAnswer {
  const { alias, version, revision, movedAt, movedBy, reason } = move;
  return { alias, version, revision, movedAt: movedAt.toISOString(), movedBy, reason };
}

export function toAliasMoveAnswer(move: AliasMoveDoc): AliasMoveAnswer {
  return { ...toAliasAnswer(move), kind: move.kind, from: move.from };
}

/** @throws InvalidInputError for anything but the three forms of a target */
export function parseRollbackTarget(to: unknown): RollbackTarget {
  if (to === 'previous') return to;
  if (typeof to === 'number' && Number.isSafeInteger(to) && to > 0) return to;
  if (typeof to === 'object' && to !== null && Object.keys(to).join() === 'at') {
    const { at } = to as { at: unknown };
    const moment = typeof at === 'string' ? parseTime(at) : null;
    if (moment) return { at: moment };
  }
  throw new InvalidInputError('The target of a rollback is not understood', [
    {
      path: 'to',
      message: 'must be "previous", a version such as 3, or { "at": "<ISO 8601 time>" }',
    },
  ]);
}
