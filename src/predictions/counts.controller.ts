import { Controller, Get, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { oneOf, readQuery } from '../http/query';
import { CountPredictionsDocs } from './predictions.docs';
import { assertUsable, badQuery, PREDICTION_FILTERS } from './prediction-query';
import {
  COUNTED_BY,
  type CountedBy,
  type PredictionCount,
  PredictionsRepository,
} from './predictions.repository';

const PARAMETERS = { ...PREDICTION_FILTERS, by: oneOf(COUNTED_BY) };

export interface CountsAnswer {
  readonly by: CountedBy;
  readonly items: readonly PredictionCount[];
}

@ApiTags('predictions')
@Controller('api/predictions')
export class CountsController {
  constructor(private readonly predictions: PredictionsRepository) {}

  @Get('counts')
  @CountPredictionsDocs()
  async count(@Req() request: Request): Promise<CountsAnswer> {
    const { by = 'version', ...filter } = readQuery(request, PARAMETERS);
    assertUsable(filter);
    if (filter.model === undefined) throw badQuery('model', 'is needed to count');
    return { by, items: await this.predictions.countBy(by, filter) };
  }
}
