import { Controller, Get, HttpCode, Param, Post, Req, UseFilters } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { parseModelRef } from '../../common/model-ref';
import { readUnpackedBody } from '../../http/packed-body';
import { parseStrictJson } from '../../http/strict-json';
import { type ModelStatistics } from './model-statistics';
import { OipErrorFilter } from './oip-error.filter';
import { type IndexedModel, OipRepository } from './oip-repository.service';
import { OipStatistics } from './oip-statistics.service';
import { LoadModelDocs, RepositoryIndexDocs, StatisticsDocs, UnloadModelDocs } from './oip.docs';
import { BadOipRequestError, OipUnsupportedError } from './oip.errors';
import { refOf } from './oip.controller';

/** These bodies are small; a model is not uploaded here. */
const MAX_BYTES = 256 * 1024;

type JsonObject = Readonly<Record<string, unknown>>;

/** Triton's extensions around models: the repository, and what was counted. */
@ApiTags('open inference protocol')
@Controller('v2')
@UseFilters(OipErrorFilter)
export class OipRepositoryController {
  constructor(
    private readonly repository: OipRepository,
    private readonly statistics: OipStatistics,
  ) {}

  @Post(['repository/index', 'repository/:repository/index'])
  @HttpCode(200)
  @RepositoryIndexDocs()
  async index(@Req() request: Request): Promise<IndexedModel[]> {
    const { ready = false } = await readOptional(request);
    if (typeof ready !== 'boolean') throw new BadOipRequestError('ready must be true or false');
    return await this.repository.index(ready);
  }

  @Post(['repository/models/:model/load', 'repository/:repository/models/:model/load'])
  @HttpCode(200)
  @LoadModelDocs()
  async load(@Param('model') model: string, @Req() request: Request): Promise<void> {
    const ref = parseModelRef(model);
    const { parameters = {} } = await readOptional(request);
    if (!isObject(parameters)) throw new BadOipRequestError('parameters must be an object');
    const brought = Object.keys(parameters).find(
      (name) => name === 'config' || name.startsWith('file:'),
    );
    if (brought !== undefined) {
      throw new OipUnsupportedError(
        `Parameter ${JSON.stringify(brought.slice(0, 60))} would change the model, and versions never change; upload a new one to /api/models/${ref.model}/versions`,
      );
    }
    await this.repository.load(ref);
  }

  @Post(['repository/models/:model/unload', 'repository/:repository/models/:model/unload'])
  @HttpCode(200)
  @UnloadModelDocs()
  async unload(@Param('model') model: string, @Req() request: Request): Promise<void> {
    await readOptional(request);
    await this.repository.unload(parseModelRef(model));
  }

  @Get('models/stats')
  @StatisticsDocs()
  async allStatistics(): Promise<{ model_stats: ModelStatistics[] }> {
    return await this.statistics.of(null);
  }

  @Get(['models/:model/stats', 'models/:model/versions/:version/stats'])
  @StatisticsDocs()
  async modelStatistics(
    @Param('model') model: string,
    @Param('version') version?: string,
  ): Promise<{ model_stats: ModelStatistics[] }> {
    return await this.statistics.of(refOf(model, version));
  }
}

/** A body that may be left out. */
async function readOptional(request: Request): Promise<JsonObject> {
  const body = await readUnpackedBody(request, MAX_BYTES);
  if (body.length === 0) return {};
  const said = parseStrictJson(body);
  if (!isObject(said)) throw new BadOipRequestError('The body must be a JSON object, or empty');
  return said;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
