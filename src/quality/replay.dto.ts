import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsInt, IsPositive, IsString, Matches, Max, MaxLength, Min } from 'class-validator';

import { type Fault, InvalidInputError } from '../common/errors';
import { parseTime } from '../common/time';
import { IsNested, MayBeLeftOut } from '../http/dto-rules';
import { type ReplayParams } from './replay.doc';

const MAX_RECORDS = 100_000;
const DEFAULT_RECORDS = 1_000;

/** Which recorded predictions are run again. */
export class ReplayFilterDto {
  @ApiPropertyOptional({ example: 2 })
  @MayBeLeftOut()
  @IsInt()
  @IsPositive()
  readonly version?: number;

  @ApiPropertyOptional({ example: 'live' })
  @MayBeLeftOut()
  @IsString()
  @Matches(/^.{1,64}$/)
  readonly alias?: string;

  @ApiPropertyOptional()
  @MayBeLeftOut()
  @IsString()
  @MaxLength(512)
  readonly callerId?: string;

  @ApiPropertyOptional({ example: '7' })
  @MayBeLeftOut()
  @IsString()
  @MaxLength(512)
  readonly label?: string;

  @ApiPropertyOptional({ type: 'string', format: 'date-time' })
  @MayBeLeftOut()
  @IsString()
  @MaxLength(64)
  readonly since?: string;

  @ApiPropertyOptional({ type: 'string', format: 'date-time' })
  @MayBeLeftOut()
  @IsString()
  @MaxLength(64)
  readonly until?: string;
}

export class ReplayDto {
  @ApiPropertyOptional({ type: ReplayFilterDto })
  @MayBeLeftOut()
  @IsNested(ReplayFilterDto)
  readonly from?: ReplayFilterDto;

  /** The version that is compared with the record. */
  @ApiProperty({ example: 3 })
  @IsInt()
  @IsPositive()
  readonly candidate!: number;

  @ApiPropertyOptional({ default: DEFAULT_RECORDS, minimum: 1, maximum: MAX_RECORDS })
  @MayBeLeftOut()
  @IsInt()
  @Min(1)
  @Max(MAX_RECORDS)
  readonly limit?: number;
}

/** @throws InvalidInputError for times that are none, or none between them */
export function toReplayParams({
  from = {},
  candidate,
  limit = DEFAULT_RECORDS,
}: ReplayDto): ReplayParams {
  const { since, until, ...equal } = from;
  const faults: Fault[] = [];
  const timeOf = (name: string, text: string | undefined): Date | undefined => {
    const time = text === undefined ? undefined : parseTime(text);
    if (time === null) {
      faults.push({ path: `from.${name}`, message: 'must be an ISO 8601 time' });
    }
    return time ?? undefined;
  };
  const [start, end] = [timeOf('since', since), timeOf('until', until)];
  if (start && end && start >= end) {
    faults.push({ path: 'from.until', message: 'must be after since' });
  }
  if (faults.length > 0) throw new InvalidInputError('The filter is not understood', faults);
  return {
    from: { ...equal, ...(start ? { since: start } : {}), ...(end ? { until: end } : {}) },
    candidate,
    limit,
  };
}
