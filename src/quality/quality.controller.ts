import { Controller, Get, Param, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { isAlias, parseModelName } from '../common/model-ref';
import { oneOf, readQuery, textThat, time, wholeNumber } from '../http/query';
import { assertUsable } from '../predictions/prediction-query';
import { QualityDocs } from './quality.docs';
import { BUCKETS, type QualityReport, QualityReports } from './quality-report.service';

const PARAMETERS = {
  version: wholeNumber(1, 999_999_999_999_999),
  alias: textThat(isAlias, 'an alias'),
  since: time,
  until: time,
  bucket: oneOf(BUCKETS),
};

@ApiTags('quality')
@Controller('api/models/:model')
export class QualityController {
  constructor(private readonly reports: QualityReports) {}

  @Get('quality')
  @QualityDocs()
  async get(@Param('model') name: string, @Req() request: Request): Promise<QualityReport> {
    const { bucket = 'all', ...given } = readQuery(request, PARAMETERS);
    const filter = { model: parseModelName(name), ...given };
    assertUsable(filter);
    return await this.reports.report(filter, bucket);
  }
}
