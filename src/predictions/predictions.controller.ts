import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { canonicalJson } from '../common/canonical-json';
import { BadCursorError, decodeCursor, DEFAULT_LIMIT, type Page, toPage } from '../common/page';
import { PAGE_PARAMETERS, readQuery } from '../http/query';
import { isKnown } from '../http/conditional';
import { PredictionRecords } from './prediction-records.service';
import { type PredictionAnswer } from './prediction.answer';
import { isPredictionId, parsePredictionId } from './prediction-id';
import { assertUsable, PREDICTION_FILTERS } from './prediction-query';
import { GetPredictionDocs, GetPredictionInputDocs, ListPredictionsDocs } from './predictions.docs';
import { type PredictionFilter } from './predictions.repository';

const PARAMETERS = { ...PREDICTION_FILTERS, ...PAGE_PARAMETERS };

/** Inputs are addressed by content, yet may be private: browsers may keep them, proxies may not. */
const IMMUTABLE = 'private, max-age=31536000, immutable';

@ApiTags('predictions')
@Controller('api/predictions')
export class PredictionsController {
  constructor(private readonly records: PredictionRecords) {}

  @Get()
  @ListPredictionsDocs()
  async list(@Req() request: Request): Promise<Page<PredictionAnswer>> {
    const query = readQuery(request, PARAMETERS);
    const { limit = DEFAULT_LIMIT, cursor, ...filter } = query;
    assertUsable(filter);
    const scope = `predictions ${canonicalJson(toText(filter))}`;
    const found = await this.records.list(filter, {
      limit: limit + 1,
      ...(cursor === undefined ? {} : { before: idAfter(cursor, scope) }),
    });
    return toPage(
      found,
      limit,
      scope,
      ({ predictionId }) => [predictionId],
      (answer) => answer,
    );
  }

  @Get(':id')
  @GetPredictionDocs()
  async get(@Param('id') id: string, @Req() request: Request): Promise<PredictionAnswer> {
    readQuery(request, {});
    return await this.records.get(parsePredictionId(id));
  }

  @Get(':id/input')
  @GetPredictionInputDocs()
  async getInput(
    @Param('id') id: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    readQuery(request, {});
    const { digest, kind, contentType } = await this.records.getInputSummary(parsePredictionId(id));
    response.setHeader('Cache-Control', IMMUTABLE);
    const etag = `"${digest}"`;
    response.setHeader('ETag', etag);
    if (isKnown(request, etag)) {
      await this.records.assertStored(digest);
      response.status(304).end();
      return;
    }
    const content = await this.records.readInput(digest);
    response.setHeader('Content-Type', contentType ?? 'application/octet-stream');
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (kind === 'tensors') {
      const filename = `${digest.replace(':', '-')}.safetensors`;
      response.setHeader('Content-Disposition', `attachment; filename="${filename}"`);
    }
    response.end(content);
  }
}

/** The filter as the cursor remembers it. */
function toText(filter: PredictionFilter): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(filter).map(([key, value]) => [
      key,
      value instanceof Date ? value.toISOString() : (value as unknown),
    ]),
  );
}

/** @throws BadCursorError */
function idAfter(cursor: string, scope: string): string {
  const [id] = decodeCursor(cursor, scope);
  if (typeof id !== 'string' || !isPredictionId(id)) {
    throw new BadCursorError(
      'The cursor is not one that this list gave out; start again without it',
    );
  }
  return id;
}
