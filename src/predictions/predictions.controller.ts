import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { canonicalJson } from '../common/canonical-json';
import { isAlias, isModelName } from '../common/model-ref';
import { BadCursorError, decodeCursor, DEFAULT_LIMIT, type Page, toPage } from '../common/page';
import {
  BadQueryError,
  oneOf,
  PAGE_PARAMETERS,
  readQuery,
  text,
  textThat,
  time,
  wholeNumber,
} from '../http/query';
import { isKnown } from '../http/conditional';
import { PredictionRecords } from './prediction-records.service';
import { type PredictionAnswer, toPredictionAnswer } from './prediction.answer';
import { PREDICTION_STATUSES } from './prediction.doc';
import { isPredictionId, parsePredictionId } from './prediction-id';
import { GetPredictionDocs, GetPredictionInputDocs, ListPredictionsDocs } from './predictions.docs';
import { type PredictionFilter, PredictionsRepository } from './predictions.repository';

const FILTERS = {
  model: textThat(isModelName, 'a model name'),
  version: wholeNumber(1, 999_999_999_999_999),
  alias: textThat(isAlias, 'an alias'),
  status: oneOf(PREDICTION_STATUSES),
  callerId: text,
  since: time,
  until: time,
  label: text,
  ...PAGE_PARAMETERS,
};

/** Inputs are addressed by content, yet may be private: browsers may keep them, proxies may not. */
const IMMUTABLE = 'private, max-age=31536000, immutable';

@ApiTags('predictions')
@Controller('api/predictions')
export class PredictionsController {
  constructor(
    private readonly predictions: PredictionsRepository,
    private readonly records: PredictionRecords,
  ) {}

  @Get()
  @ListPredictionsDocs()
  async list(@Req() request: Request): Promise<Page<PredictionAnswer>> {
    const query = readQuery(request, FILTERS);
    const { limit = DEFAULT_LIMIT, cursor, ...filter } = query;
    assertUsable(filter);
    const scope = `predictions ${canonicalJson(toText(filter))}`;
    const docs = await this.predictions.list(filter, {
      limit: limit + 1,
      ...(cursor === undefined ? {} : { before: idAfter(cursor, scope) }),
    });
    return toPage(
      docs,
      limit,
      scope,
      ({ _id }) => [_id.toHexString()],
      (doc) => toPredictionAnswer(doc),
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

/** @throws BadQueryError for what no prediction can match, or no index can find */
function assertUsable({ model, version, alias, since, until }: PredictionFilter): void {
  if (model === undefined && (version !== undefined || alias !== undefined)) {
    const path = version === undefined ? 'alias' : 'version';
    throw badQuery(path, 'needs model beside it: versions and aliases are counted per model');
  }
  if (since && until && since >= until) throw badQuery('until', 'must be after since');
}

function badQuery(path: string, message: string): BadQueryError {
  return new BadQueryError(`Query parameter ${path}: ${message}`, { faults: [{ path, message }] });
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
