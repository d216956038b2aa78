import {
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Patch,
  Post,
  UseFilters,
} from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';

import { DeletionService } from '../../models/deletion.service';
import { VersionNotReadyError } from '../../models/models.errors';
import { type VersionListing, type VersionOrigin } from '../../models/version.doc';
import { versionId, VersionsRepository } from '../../models/versions.repository';
import { afterLoads } from './after-loads';
import { MlflowErrorFilter } from './mlflow-error.filter';
import { describeMlflow } from './mlflow.docs';
import { NotImplementedError } from './mlflow.errors';
import { MOVED_BY_MLFLOW } from './registered-models.controller';
import { type ModelVersionAnswer, toModelVersion } from './registry-answer';
import { RegistrationService } from './registration.service';
import { RegistrySearch, VERSIONS } from './registry-search';
import { Fields, RequestFields } from './request-fields';
import { ARTIFACT_SCHEME, VERSIONS_FOLDER, versionUri } from './version-uri';

/** What one answer holds at most; more goes on by its token. */
const MAX_PAGE = 10_000;

/** The source of a version that came by another way, from `<model>/<version>`. */
const SOURCE_BY_ID = { $concat: [`${ARTIFACT_SCHEME}/${VERSIONS_FOLDER}/`, '$_id'] };

type Empty = Record<string, never>;

/** Versions of models, in the words of the MLflow registry. */
@ApiTags('mlflow')
@Controller('api/2.0/mlflow/model-versions')
@UseFilters(MlflowErrorFilter)
export class ModelVersionsController {
  constructor(
    private readonly versions: VersionsRepository,
    private readonly deletion: DeletionService,
    private readonly registrations: RegistrationService,
  ) {}

  @Post('create')
  @HttpCode(200)
  @describeMlflow('Make a version of what was uploaded, or of another version', [
    'name',
    'source',
    'run_id',
    'run_link',
    'model_id',
    'description',
    'tags',
  ])
  async create(
    @Fields() fields: RequestFields,
    @Headers('host') host: string | undefined,
  ): Promise<{ model_version: ModelVersionAnswer }> {
    const doc = await this.registrations.register({
      model: fields.model(),
      origin: readOrigin(fields),
      host,
      description: fields.optionalText('description') ?? '',
      tags: fields.tags(),
    });
    return { model_version: toModelVersion(doc) };
  }

  @Get('get')
  @describeMlflow('Show a version', ['name', 'version'])
  async get(@Fields() fields: RequestFields): Promise<{ model_version: ModelVersionAnswer }> {
    const doc = await this.versions.get(fields.model(), fields.version());
    return { model_version: toModelVersion(doc) };
  }

  @Get('search')
  @describeMlflow('Search versions of all models', [
    'filter',
    'max_results',
    'order_by',
    'page_token',
  ])
  async search(
    @Fields() fields: RequestFields,
  ): Promise<{ model_versions: ModelVersionAnswer[]; next_page_token?: string }> {
    const wanted = fields.wholeNumber('max_results', MAX_PAGE, 200_000);
    const search = new RegistrySearch(fields, VERSIONS, Math.min(wanted, MAX_PAGE));
    const found = await this.versions.search(search.query(), SOURCE_BY_ID);
    const { items, ...next } = search.page(found, versionKey);
    return { model_versions: items.map(toModelVersion), ...next };
  }

  @Patch('update')
  @describeMlflow('Describe a version', ['name', 'version', 'description'])
  async update(@Fields() fields: RequestFields): Promise<{ model_version: ModelVersionAnswer }> {
    const [name, version] = [fields.model(), fields.version()];
    await this.versions.get(name, version);
    const description = fields.optionalText('description') ?? '';
    const doc = await this.versions.describe(versionId(name, version), { description });
    if (!doc) throw new VersionNotReadyError(`Version ${version} of ${name} is being deleted`);
    return { model_version: toModelVersion(doc) };
  }

  @Delete('delete')
  @describeMlflow('Delete a version and the aliases that point at it', ['name', 'version'])
  async delete(@Fields() fields: RequestFields): Promise<Empty> {
    const [name, version] = [fields.model(), fields.version()];
    const along = { alongWithAliases: MOVED_BY_MLFLOW };
    await afterLoads(async () => {
      await this.deletion.deleteVersion(name, version, along);
    });
    return {};
  }

  @Get('get-download-uri')
  @describeMlflow('Where the files of a version are listed and downloaded', ['name', 'version'])
  async getDownloadUri(@Fields() fields: RequestFields): Promise<{ artifact_uri: string }> {
    const { model, version, state } = await this.versions.get(fields.model(), fields.version());
    if (state !== 'ready') {
      throw new VersionNotReadyError(
        `Version ${version} of ${model} is ${state}; only ready versions have files to download`,
      );
    }
    return { artifact_uri: versionUri(model, version) };
  }

  @Post('set-tag')
  @HttpCode(200)
  @describeMlflow('Set a tag of a version', ['name', 'version', 'key', 'value'])
  async setTag(@Fields() fields: RequestFields): Promise<Empty> {
    const { k: key, v: value } = fields.tag();
    await this.versions.changeTag(fields.model(), fields.version(), { key, value });
    return {};
  }

  @Delete('delete-tag')
  @describeMlflow('Take a tag of a version away', ['name', 'version', 'key'])
  async deleteTag(@Fields() fields: RequestFields): Promise<Empty> {
    await this.versions.changeTag(fields.model(), fields.version(), { key: fields.text('key') });
    return {};
  }

  @Post('transition-stage')
  @HttpCode(200)
  @describeMlflow('Not implemented: aliases took the place of stages', ['name', 'version', 'stage'])
  async transitionStage(@Fields() fields: RequestFields): Promise<never> {
    await this.versions.get(fields.model(), fields.version());
    throw new NotImplementedError(
      'Versions have no stages here, which MLflow itself gave up; point an alias at the version instead',
    );
  }
}

function readOrigin(fields: RequestFields): VersionOrigin {
  const runId = fields.optionalText('run_id');
  const runLink = fields.optionalText('run_link');
  const modelId = fields.optionalText('model_id');
  return {
    source: fields.text('source'),
    ...(runId ? { runId } : {}),
    ...(runLink ? { runLink } : {}),
    ...(modelId ? { modelId } : {}),
  };
}

function versionKey(doc: VersionListing, field: string): string | number {
  switch (field) {
    case 'version_number':
      return doc.version;
    case 'creation_timestamp':
      return doc.createdAt.getTime();
    case 'last_updated_timestamp':
      return (doc.updatedAt ?? doc.createdAt).getTime();
    default:
      return doc.model;
  }
}
