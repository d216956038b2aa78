import { ApiProperty } from '@nestjs/swagger';
import { IsString, MaxLength, MinLength } from 'class-validator';

import { type HoldDoc } from '../models/holds.repository';

export class HoldDto {
  @ApiProperty({ example: 'complaint 4711' })
  @IsString()
  @MinLength(1)
  @MaxLength(512)
  readonly reason!: string;
}

/** A hold as the API shows it. */
export interface HoldAnswer extends Pick<HoldDoc, 'kind' | 'target' | 'reason'> {
  readonly heldAt: string;
}

export function toHoldAnswer({ kind, target, reason, heldAt }: HoldDoc): HoldAnswer {
  return { kind, target, reason, heldAt: heldAt.toISOString() };
}
