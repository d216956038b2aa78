import { Controller, Delete, Get, HttpCode, Param, Patch, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { parseModelName } from '../common/model-ref';
import { decodeCursor, type Page, toPage } from '../common/page';
import { DtoPipe } from '../http/dto.pipe';
import { JsonBody } from '../http/json-body';
import { keyValue, limitOf, many, PAGE_PARAMETERS, readQuery, text } from '../http/query';
import { DeletionService } from './deletion.service';
import { type BatchingSettings, type RetentionSetting } from './model.doc';
import {
  type BatchingDto,
  ChangeModelDto,
  type ModelAnswer,
  type RetentionDto,
  toModelAnswer,
} from './model.dto';
import { ChangeModelDocs, DeleteModelDocs, GetModelDocs, ListModelsDocs } from './models.docs';
import { ModelsRepository } from './models.repository';
import { VersionResolver } from './version-resolver.service';
import { toPairs } from './version.doc';

const LIST_PARAMETERS = { ...PAGE_PARAMETERS, q: text, tag: many(keyValue) };

@ApiTags('models')
@Controller('api/models')
export class ModelsController {
  constructor(
    private readonly models: ModelsRepository,
    private readonly deletion: DeletionService,
    private readonly resolver: VersionResolver,
  ) {}

  @Get()
  @ListModelsDocs()
  async list(@Req() request: Request): Promise<Page<ModelAnswer>> {
    const query = readQuery(request, LIST_PARAMETERS);
    const [limit, tags] = [limitOf(query), query.tag ?? []];
    const scope = `models ${JSON.stringify([query.q, tags])}`;
    const [createdAt, id] = query.cursor === undefined ? [] : decodeCursor(query.cursor, scope);
    const models = await this.models.list(
      { tags, ...(query.q === undefined ? {} : { prefix: query.q }) },
      {
        limit: limit + 1,
        ...(createdAt === undefined
          ? {}
          : { after: { createdAt: new Date(createdAt), id: String(id) } }),
      },
    );
    return toPage(
      models,
      limit,
      scope,
      (model) => [model.createdAt.getTime(), model._id],
      toModelAnswer,
    );
  }

  @Get(':model')
  @GetModelDocs()
  async get(@Param('model') model: string): Promise<ModelAnswer> {
    return toModelAnswer(await this.models.getSummary(parseModelName(model)));
  }

  @Patch(':model')
  @ChangeModelDocs()
  async change(
    @Param('model') model: string,
    @JsonBody(new DtoPipe(ChangeModelDto)) changes: ChangeModelDto,
  ): Promise<ModelAnswer> {
    const name = parseModelName(model);
    const { description, tags, recording, batching, retention } = changes;
    await this.models.change(name, {
      ...(description === undefined ? {} : { description }),
      ...(tags === undefined ? {} : { tags: toPairs(tags) }),
      ...(recording === undefined ? {} : { recording }),
      ...(batching === undefined ? {} : { batching: batching && toSettings(batching) }),
      ...(retention === undefined ? {} : { retention: retention && toRetention(retention) }),
    });
    this.resolver.forget(name);
    return toModelAnswer(await this.models.getSummary(name));
  }

  @Delete(':model')
  @HttpCode(204)
  @DeleteModelDocs()
  async delete(@Param('model') model: string): Promise<void> {
    await this.deletion.deleteModel(parseModelName(model));
  }
}

/** Plain fields for the document: a class instance would be stored with whatever it carries. */
function toSettings({ maxRows, maxDelayMs, maxQueue }: BatchingDto): BatchingSettings {
  return {
    ...(maxRows === undefined ? {} : { maxRows }),
    ...(maxDelayMs === undefined ? {} : { maxDelayMs }),
    ...(maxQueue === undefined ? {} : { maxQueue }),
  };
}

function toRetention({ maxAgeDays, maxRecords }: RetentionDto): RetentionSetting {
  return {
    ...(maxAgeDays === undefined ? {} : { maxAgeDays }),
    ...(maxRecords === undefined ? {} : { maxRecords }),
  };
}
