import { Controller, Delete, Get, HttpCode, Param, Put, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { parseModelName } from '../common/model-ref';
import { decodeCursor, type Page, toPage } from '../common/page';
import { DtoPipe } from '../http/dto.pipe';
import { JsonBody } from '../http/json-body';
import { limitOf, PAGE_PARAMETERS, readQuery } from '../http/query';
import { type HoldKind, HoldsRepository } from '../models/holds.repository';
import { type HoldAnswer, HoldDto, toHoldAnswer } from './hold.dto';
import { HoldDocs, ListHoldsDocs, ReleaseDocs } from './holds.docs';
import { parseInputDigest } from './input-digest';
import { parsePredictionId } from './prediction-id';
import { RecordHolds } from './record-holds.service';

const SCOPE = 'holds';

/** What must not be taken away: a model, a prediction, or an input. */
@ApiTags('holds')
@Controller('api')
export class HoldsController {
  constructor(
    private readonly holds: RecordHolds,
    private readonly list: HoldsRepository,
  ) {}

  @Get('holds')
  @ListHoldsDocs()
  async listAll(@Req() request: Request): Promise<Page<HoldAnswer>> {
    const query = readQuery(request, PAGE_PARAMETERS);
    const limit = limitOf(query);
    const [after] = query.cursor === undefined ? [] : decodeCursor(query.cursor, SCOPE);
    const docs = await this.list.list(limit + 1, after === undefined ? '' : String(after));
    return toPage(docs, limit, SCOPE, ({ _id }) => [_id], toHoldAnswer);
  }

  @Put('models/:model/hold')
  @HoldDocs('a model with all its records and their inputs', 'model')
  async holdModel(
    @Param('model') model: string,
    @JsonBody(new DtoPipe(HoldDto)) { reason }: HoldDto,
  ): Promise<HoldAnswer> {
    return await this.put('model', parseModelName(model), reason);
  }

  @Delete('models/:model/hold')
  @HttpCode(204)
  @ReleaseDocs('a model', 'model')
  async releaseModel(@Param('model') model: string): Promise<void> {
    await this.holds.remove('model', parseModelName(model));
  }

  @Put('predictions/:id/hold')
  @HoldDocs('a prediction and its input', 'id')
  async holdPrediction(
    @Param('id') id: string,
    @JsonBody(new DtoPipe(HoldDto)) { reason }: HoldDto,
  ): Promise<HoldAnswer> {
    return await this.put('prediction', parsePredictionId(id), reason);
  }

  @Delete('predictions/:id/hold')
  @HttpCode(204)
  @ReleaseDocs('a prediction', 'id')
  async releasePrediction(@Param('id') id: string): Promise<void> {
    await this.holds.remove('prediction', parsePredictionId(id));
  }

  @Put('inputs/:digest/hold')
  @HoldDocs('the bytes of an input', 'digest')
  async holdInput(
    @Param('digest') digest: string,
    @JsonBody(new DtoPipe(HoldDto)) { reason }: HoldDto,
  ): Promise<HoldAnswer> {
    return await this.put('input', parseInputDigest(digest), reason);
  }

  @Delete('inputs/:digest/hold')
  @HttpCode(204)
  @ReleaseDocs('an input', 'digest')
  async releaseInput(@Param('digest') digest: string): Promise<void> {
    await this.holds.remove('input', parseInputDigest(digest));
  }

  private async put(kind: HoldKind, target: string, reason: string): Promise<HoldAnswer> {
    return toHoldAnswer(await this.holds.put(kind, target, reason));
  }
}
