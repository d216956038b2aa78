import assert from 'node:assert';

import { Controller, Delete, Get, HttpCode, Patch, Post, UseFilters } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';

import { AliasesService } from '../../models/aliases.service';
import { DeletionService } from '../../models/deletion.service';
import { type ModelSummary } from '../../models/model.doc';
import { VersionNotFoundError } from '../../models/models.errors';
import { ModelsRepository } from '../../models/models.repository';
import { versionId, VersionsRepository } from '../../models/versions.repository';
import { afterLoads } from './after-loads';
import { MlflowErrorFilter } from './mlflow-error.filter';
import { describeMlflow } from './mlflow.docs';
import { NotImplementedError, RegisteredModelExistsError } from './mlflow.errors';
import {
  type ModelVersionAnswer,
  type RegisteredModelAnswer,
  toModelVersion,
  toRegisteredModel,
} from './registry-answer';
import { MODELS, RegistrySearch } from './registry-search';
import { Fields, isLatest, RequestFields } from './request-fields';

/** How moves of aliases that come by this protocol read in their history. */
export const MOVED_BY_MLFLOW = { movedBy: 'anonymous', reason: 'by the MLflow registry' } as const;

type Empty = Record<string, never>;

/** Models, their tags and aliases, in the words of the MLflow registry. */
@ApiTags('mlflow')
@Controller('api/2.0/mlflow/registered-models')
@UseFilters(MlflowErrorFilter)
export class RegisteredModelsController {
  constructor(
    private readonly models: ModelsRepository,
    private readonly versions: VersionsRepository,
    private readonly aliases: AliasesService,
    private readonly deletion: DeletionService,
  ) {}

  @Post('create')
  @HttpCode(200)
  @describeMlflow('Register a model that has no version yet', ['name', 'description', 'tags'])
  async create(
    @Fields() fields: RequestFields,
  ): Promise<{ registered_model: RegisteredModelAnswer }> {
    const name = fields.model();
    const description = fields.optionalText('description') ?? '';
    if (!(await this.models.create(name, { description, tags: fields.tags() }))) {
      throw new RegisteredModelExistsError(`There is a registered model ${name} already`);
    }
    return await this.shown(name);
  }

  @Get('get')
  @describeMlflow('Show a registered model', ['name'])
  async get(@Fields() fields: RequestFields): Promise<{ registered_model: RegisteredModelAnswer }> {
    return await this.shown(fields.model());
  }

  @Get('search')
  @describeMlflow('Search models', ['filter', 'max_results', 'order_by', 'page_token'])
  async search(
    @Fields() fields: RequestFields,
  ): Promise<{ registered_models: RegisteredModelAnswer[]; next_page_token?: string }> {
    const search = new RegistrySearch(fields, MODELS, fields.wholeNumber('max_results', 100, 1000));
    const found = await this.models.search(search.query());
    const { items, ...next } = search.page(found, modelKey);
    return { registered_models: await this.withLatest(items), ...next };
  }

  @Patch('update')
  @describeMlflow('Describe a registered model', ['name', 'description'])
  async update(
    @Fields() fields: RequestFields,
  ): Promise<{ registered_model: RegisteredModelAnswer }> {
    const name = fields.model();
    await this.models.change(name, { description: fields.optionalText('description') ?? '' });
    return await this.shown(name);
  }

  @Post('rename')
  @HttpCode(200)
  @describeMlflow('Not implemented: names do not change', ['name', 'new_name'])
  async rename(@Fields() fields: RequestFields): Promise<never> {
    await this.models.assertExists(fields.model());
    throw new NotImplementedError(
      'A model keeps its name, which its recorded predictions cite; copy the versions to a model of the new name',
    );
  }

  @Delete('delete')
  @describeMlflow('Delete a model with its versions and aliases', ['name'])
  async delete(@Fields() fields: RequestFields): Promise<Empty> {
    const name = fields.model();
    await afterLoads(async () => {
      await this.deletion.deleteModel(name, { alongWithAliases: MOVED_BY_MLFLOW });
    });
    return {};
  }

  @Post('get-latest-versions')
  @HttpCode(200)
  @describeMlflow('The newest ready version; no version has a stage', ['name', 'stages'])
  async postLatest(
    @Fields() fields: RequestFields,
  ): Promise<{ model_versions: ModelVersionAnswer[] }> {
    return await this.getLatest(fields);
  }

  @Get('get-latest-versions')
  @describeMlflow('The newest ready version; no version has a stage', ['name', 'stages'])
  async getLatest(
    @Fields() fields: RequestFields,
  ): Promise<{ model_versions: ModelVersionAnswer[] }> {
    const name = fields.model();
    const stages = fields.texts('stages').map((stage) => stage.toLowerCase());
    await this.models.assertExists(name);
    const isAsked = stages.length === 0 || stages.includes('none');
    const latest = isAsked ? await this.versions.findNewestReady(name) : null;
    return { model_versions: latest ? [toModelVersion(latest)] : [] };
  }

  @Post('set-tag')
  @HttpCode(200)
  @describeMlflow('Set a tag of a model', ['name', 'key', 'value'])
  async setTag(@Fields() fields: RequestFields): Promise<Empty> {
    const { k: key, v: value } = fields.tag();
    await this.models.changeTag(fields.model(), { key, value });
    return {};
  }

  @Delete('delete-tag')
  @describeMlflow('Take a tag of a model away', ['name', 'key'])
  async deleteTag(@Fields() fields: RequestFields): Promise<Empty> {
    await this.models.changeTag(fields.model(), { key: fields.text('key') });
    return {};
  }

  @Post('alias')
  @HttpCode(200)
  @describeMlflow('Point an alias at a version, once that has proven itself', [
    'name',
    'alias',
    'version',
  ])
  async setAlias(@Fields() fields: RequestFields): Promise<Empty> {
    const [name, alias, version] = [fields.model(), fields.alias(), fields.version()];
    await this.aliases.promote(name, alias, version, MOVED_BY_MLFLOW);
    return {};
  }

  @Delete('alias')
  @describeMlflow('Take an alias away; its history stays', ['name', 'alias'])
  async deleteAlias(@Fields() fields: RequestFields): Promise<Empty> {
    const [name, alias] = [fields.model(), fields.alias()];
    await this.models.assertExists(name);
    // One that points nowhere is gone already: clients repeat what they got no answer to.
    const standing = [...(await this.aliases.aliasesByVersion(name)).values()].flat();
    if (standing.includes(alias)) await this.aliases.remove(name, alias, MOVED_BY_MLFLOW);
    return {};
  }

  @Get('alias')
  @describeMlflow('The version that an alias points at', ['name', 'alias'])
  async getByAlias(
    @Fields() fields: RequestFields,
  ): Promise<{ model_version: ModelVersionAnswer }> {
    if (isLatest(fields.text('alias'))) return await this.latest(fields.model());
    const { model, version } = await this.aliases.get(fields.model(), fields.alias());
    return { model_version: toModelVersion(await this.versions.get(model, version ?? 0)) };
  }

  private async latest(name: string): Promise<{ model_version: ModelVersionAnswer }> {
    await this.models.assertExists(name);
    const latest = await this.versions.findNewestReady(name);
    if (!latest) throw new VersionNotFoundError(`Model ${name} has no version that is ready`);
    return { model_version: toModelVersion(latest) };
  }

  private async shown(name: string): Promise<{ registered_model: RegisteredModelAnswer }> {
    const summary = await this.models.getSummary(name);
    const [shown] = await this.withLatest([summary]);
    assert(shown, 'one for each');
    return { registered_model: shown };
  }

  /** Each with its newest ready version; those are looked up together. */
  private async withLatest(summaries: readonly ModelSummary[]): Promise<RegisteredModelAnswer[]> {
    const idOf = ({ _id, latestReady }: ModelSummary): string => versionId(_id, latestReady ?? 0);
    const found = await this.versions.findListings(summaries.map(idOf));
    const latest = new Map(found.map((doc) => [doc._id, doc]));
    return summaries.map((summary) => toRegisteredModel(summary, latest.get(idOf(summary))));
  }
}

function modelKey({ _id, createdAt, updatedAt }: ModelSummary, field: string): string | number {
  switch (field) {
    case 'creation_timestamp':
      return createdAt.getTime();
    case 'last_updated_timestamp':
      return updatedAt.getTime();
    default:
      return _id;
  }
}
