import { Controller, Delete, Get, HttpCode, Param, Patch, Req } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request } from 'express';

import { parseModelName, parseVersion } from '../common/model-ref';
import { decodeCursor, type Page, toPage } from '../common/page';
import { DtoPipe } from '../http/dto.pipe';
import { JsonBody } from '../http/json-body';
import {
  keyValue,
  limitOf,
  many,
  oneOf,
  PAGE_PARAMETERS,
  type ParameterReader,
  readQuery,
  time,
} from '../http/query';
import { AliasesService } from './aliases.service';
import { DeletionService } from './deletion.service';
import { ChangeVersionDto } from './model.dto';
import {
  ChangeVersionDocs,
  DeleteVersionDocs,
  GetVersionDocs,
  ListVersionsDocs,
} from './models.docs';
import { VersionNotReadyError } from './models.errors';
import { ModelsRepository } from './models.repository';
import { toVersionAnswer, type VersionAnswer } from './version.answer';
import { VERSION_STATES, type VersionState } from './version';
import { toPairs } from './version.doc';
import {
  type MetricCondition,
  SORTS,
  versionId,
  type VersionSort,
  VersionsRepository,
} from './versions.repository';

/** What is on its way, or gone, is listed only when asked for. */
const SETTLED: readonly VersionState[] = ['ready', 'failed', 'quarantined'];

/** `accuracy>=0.9`; a bare `=` compares for equality. */
const metric: ParameterReader<MetricCondition> = {
  read: (given) => {
    const match = /^([^<>=]{1,128})(>=|<=|>|<|=)(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$/.exec(given);
    const [, name, operator, value] = match ?? [];
    return name !== undefined && operator !== undefined
      ? {
          value: {
            name,
            operator: operator as MetricCondition['operator'],
            value: Number(value),
          },
        }
      : { fault: 'must read name>=number, with one of >= <= > < =' };
  },
};

const LIST_PARAMETERS = {
  ...PAGE_PARAMETERS,
  state: many(oneOf(VERSION_STATES)),
  tag: many(keyValue),
  metric: many(metric),
  since: time,
  sort: oneOf(SORTS),
};

@ApiTags('versions')
@Controller('api/models/:model/versions')
export class VersionsController {
  constructor(
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly aliases: AliasesService,
    private readonly deletion: DeletionService,
  ) {}

  @Get()
  @ListVersionsDocs()
  async list(@Param('model') model: string, @Req() request: Request): Promise<Page<VersionAnswer>> {
    const { cursor, limit, sort, ...query } = readQuery(request, LIST_PARAMETERS);
    const name = parseModelName(model);
    await this.models.assertExists(name);
    const filter = {
      states: query.state ?? SETTLED,
      tags: query.tag ?? [],
      metrics: query.metric ?? [],
      ...(query.since ? { since: query.since } : {}),
    };
    const order: VersionSort = sort ?? '-version';
    const scope = `versions ${JSON.stringify([name, filter, order])}`;
    const after = cursor === undefined ? undefined : Number(decodeCursor(cursor, scope)[0]);
    const size = limitOf(limit === undefined ? {} : { limit });
    const [docs, aliases] = await Promise.all([
      this.versions.list(name, filter, {
        limit: size + 1,
        sort: order,
        ...(after === undefined ? {} : { after }),
      }),
      this.aliases.aliasesByVersion(name),
    ]);
    return toPage(
      docs,
      size,
      scope,
      ({ version }) => [version],
      (doc) => toVersionAnswer(doc, aliases.get(doc.version) ?? []),
    );
  }

  @Get(':version')
  @GetVersionDocs()
  async get(
    @Param('model') model: string,
    @Param('version') version: string,
  ): Promise<VersionAnswer> {
    const name = parseModelName(model);
    const [doc, aliases] = await Promise.all([
      this.versions.get(name, parseVersion(version)),
      this.aliases.aliasesByVersion(name),
    ]);
    return toVersionAnswer(doc, aliases.get(doc.version) ?? []);
  }

  @Patch(':version')
  @ChangeVersionDocs()
  async change(
    @Param('model') model: string,
    @Param('version') version: string,
    @JsonBody(new DtoPipe(ChangeVersionDto)) changes: ChangeVersionDto,
  ): Promise<VersionAnswer> {
    const [name, number] = [parseModelName(model), parseVersion(version)];
    const { state } = await this.versions.get(name, number);
    const { description, tags, metrics } = changes;
    const changed = await this.versions.describe(versionId(name, number), {
      ...(description === undefined ? {} : { description }),
      ...(tags === undefined ? {} : { tags: toPairs(tags) }),
      ...(metrics === undefined ? {} : { metrics: toPairs(metrics) }),
    });
    if (!changed) {
      throw new VersionNotReadyError(`Version ${number} of ${name} is ${state}`, {
        model: name,
        version: number,
        state,
      });
    }
    const aliases = await this.aliases.aliasesByVersion(name);
    return toVersionAnswer(changed, aliases.get(number) ?? []);
  }

  @Delete(':version')
  @HttpCode(204)
  @DeleteVersionDocs()
  async delete(@Param('model') model: string, @Param('version') version: string): Promise<void> {
    await this.deletion.deleteVersion(parseModelName(model), parseVersion(version));
  }
}
