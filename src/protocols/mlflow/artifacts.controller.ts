import { pipeline } from 'node:stream/promises';

import {
  Controller,
  Delete,
  Get,
  Inject,
  Param,
  Post,
  Put,
  Req,
  Res,
  UseFilters,
} from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { InvalidInputError } from '../../common/errors';
import { type Config } from '../../config/config';
import { CONFIG } from '../../config/config.tokens';
import { isNormalizedPath } from '../../formats/keras/normalized-path';
import { isKnown } from '../../http/conditional';
import { streamBody } from '../../http/raw-body';
import { contentTypeOf } from '../../models/content-type';
import { FileNotFoundError } from '../../models/models.errors';
import { type VersionDoc } from '../../models/version.doc';
import { VersionFiles } from '../../models/version-files.service';
import { parseArtifactAddress } from './artifact-address';
import { type FolderEntry, listFolder, type SizedFile } from './list-folder';
import { MlflowErrorFilter } from './mlflow-error.filter';
import { describeMlflow } from './mlflow.docs';
import { NotImplementedError, VersionFolderError } from './mlflow.errors';
import { Fields, RequestFields } from './request-fields';
import { StagedArtifactsStore } from './staged-artifacts.store';
import { VERSIONS_FOLDER } from './version-uri';

type Empty = Record<string, never>;

/** Files for clients of MLflow: those of versions, and those that are to become some. */
@ApiTags('mlflow')
@Controller('api/2.0/mlflow-artifacts')
@UseFilters(MlflowErrorFilter)
export class ArtifactsController {
  constructor(
    private readonly files: VersionFiles,
    private readonly staged: StagedArtifactsStore,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get('artifacts')
  @describeMlflow('List a folder; of a file, nothing', ['path'])
  async list(@Fields() fields: RequestFields): Promise<{ files: FolderEntry[] }> {
    const address = parseArtifactAddress(fields.optionalText('path') ?? '');
    switch (address.kind) {
      case 'registry':
        throw inRegistry();
      case 'version': {
        const doc = await this.files.getReadable(address.model, address.version);
        return { files: listFolder(filesOf(doc), address.path) };
      }
      case 'staged':
        return { files: listFolder(await this.staged.list(address.path), address.path) };
    }
  }

  @Get('artifacts/*path')
  @describeMlflow('Download a file, byte for byte', [])
  async download(
    @Param('path') path: string | string[],
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const address = parseArtifactAddress(joined(path));
    if (address.kind === 'registry') throw notFound();
    if (address.kind === 'staged') {
      await this.sendStaged(address.path, request, response);
      return;
    }
    const doc = await this.files.getReadable(address.model, address.version);
    if (isNormalizedPath(address.path)) throw notFound();
    await this.files.answer(doc, this.files.find(doc, address.path), request, response);
  }

  /** Types say nothing here: `model.json` comes as JSON and is a file all the same. */
  @Put('artifacts/*path')
  @describeMlflow('Upload a file, to be registered later', [])
  async upload(@Param('path') path: string | string[], @Req() request: Request): Promise<Empty> {
    const to = stagedPath(path);
    await this.staged.put(to, streamBody(request, this.config.maxUploadBytes));
    return {};
  }

  @Delete('artifacts/*path')
  @describeMlflow('Delete an uploaded file, or a folder of them', [])
  async delete(@Param('path') path: string | string[]): Promise<Empty> {
    if (!(await this.staged.delete(stagedPath(path)))) throw notFound();
    return {};
  }

  @Post('mpu/:step/*path')
  @describeMlflow('Not implemented: files come in one piece', [])
  refuseMultipart(): never {
    // Clients go on with one PUT only when the sentence begins like this.
    throw new NotImplementedError(
      'Multipart upload is not supported for the current artifact repository; send the file in one piece',
    );
  }

  private async sendStaged(path: string, request: Request, response: Response): Promise<void> {
    const file = await this.staged.find(path);
    if (!file) throw notFound();
    const etag = `"sha256:${file.sha256}"`;
    response.setHeader('ETag', etag);
    response.setHeader('Content-Type', contentTypeOf(path));
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (isKnown(request, etag)) {
      response.status(304).end();
      return;
    }
    response.setHeader('Content-Length', file.bytes);
    if (request.method === 'HEAD') response.end();
    else await pipeline(this.staged.open(file), response);
  }
}

/** @throws VersionFolderError for what belongs to versions; InvalidInputError */
function stagedPath(path: string | string[]): string {
  const address = parseArtifactAddress(joined(path));
  if (address.kind !== 'staged') {
    throw new VersionFolderError(
      `${VERSIONS_FOLDER}/ holds the files of versions, which never change; choose another folder`,
    );
  }
  if (address.path === '') throw new InvalidInputError('Name a file');
  return address.path;
}

/** As uploaded: what was made from that to load it belongs to the store. */
function filesOf({ files }: VersionDoc): SizedFile[] {
  return files
    .filter(({ path }) => !isNormalizedPath(path))
    .map(({ path, ref }) => ({ path, bytes: ref.rawBytes }));
}

/** A path as it was decoded once, segment by segment. */
function joined(path: string | string[]): string {
  return Array.isArray(path) ? path.join('/') : path;
}

function notFound(): FileNotFoundError {
  return new FileNotFoundError('There is no file of that path');
}

function inRegistry(): InvalidInputError {
  return new InvalidInputError(
    'Name a version, as in registered-models/<model>/<version>; the registry lists models and versions',
  );
}
