import { pipeline } from 'node:stream/promises';

import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';
import { pack } from 'tar-stream';

import { ArtifactStore } from '../artifacts/artifact.store';
import { parseModelName, parseVersion } from '../common/model-ref';
import { isNormalizedPath } from '../formats/keras/normalized-path';
import { isKnown } from '../http/conditional';
import { readQuery } from '../http/query';
import { DownloadArchiveDocs, DownloadFileDocs, ListFilesDocs } from './models.docs';
import { type FileAnswer, toFileAnswers } from './version.answer';
import { type VersionDoc } from './version.doc';
import { VersionFiles } from './version-files.service';
import { VersionLeases } from './version-leases.service';
import { VersionsRepository } from './versions.repository';

/** The bytes of a version never change, so whoever has them need never ask again. */
const IMMUTABLE = 'public, max-age=31536000, immutable';

/** The files of a version, byte for byte as they were uploaded. */
@ApiTags('files')
@Controller('api/models/:model/versions/:version')
export class FilesController {
  constructor(
    private readonly versions: VersionsRepository,
    private readonly artifacts: ArtifactStore,
    private readonly files: VersionFiles,
    private readonly leases: VersionLeases,
  ) {}

  @Get('files')
  @ListFilesDocs()
  async list(
    @Param('model') model: string,
    @Param('version') version: string,
    @Req() request: Request,
  ): Promise<{ items: FileAnswer[]; next: null }> {
    readQuery(request, {});
    const doc = await this.versions.get(parseModelName(model), parseVersion(version));
    return { items: toFileAnswers(doc), next: null };
  }

  /** A browser may pass the URL of `model.json` to `tf.loadLayersModel`, hence CORS and caching. */
  @Get('files/*path')
  @DownloadFileDocs()
  async download(
    @Param('model') model: string,
    @Param('version') version: string,
    @Param('path') path: string | string[],
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const doc = await this.getReadable(model, version);
    const file = this.files.find(doc, Array.isArray(path) ? path.join('/') : path);
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Expose-Headers', 'ETag, Content-Length, Content-Range');
    response.setHeader('Cache-Control', IMMUTABLE);
    await this.files.answer(doc, file, request, response);
  }

  @Get('archive')
  @DownloadArchiveDocs()
  async archive(
    @Param('model') model: string,
    @Param('version') version: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    readQuery(request, {});
    const doc = await this.getReadable(model, version);
    response.setHeader('Content-Type', 'application/x-tar');
    response.setHeader('Cache-Control', IMMUTABLE);
    const etag = `"${doc.digest}"`;
    response.setHeader('ETag', etag);
    response.setHeader(
      'Content-Disposition',
      `attachment; filename="${doc.model}-${doc.version}.tar"`,
    );
    if (isKnown(request, etag)) {
      response.status(304).end();
      return;
    }
    await this.leases.holdWhile(doc, 'archive', async () => {
      await this.sendArchive(doc, response);
    });
  }

  private async sendArchive(doc: VersionDoc, response: Response): Promise<void> {
    const tar = pack();
    const sent = pipeline(tar, response);
    try {
      // As uploaded, so that it can be uploaded again and is the same version.
      for (const { path, ref } of doc.files) {
        if (isNormalizedPath(path)) continue;
        const entry = tar.entry({ name: path, size: ref.rawBytes, mtime: doc.createdAt });
        await Promise.race([pipeline(this.artifacts.open(ref), entry), sent]);
      }
      tar.finalize();
      await sent;
    } catch (error) {
      tar.destroy();
      await sent.catch(() => undefined);
      await this.files.fail(doc, error, response);
    }
  }

  private async getReadable(model: string, version: string): Promise<VersionDoc> {
    return await this.files.getReadable(parseModelName(model), parseVersion(version));
  }
}
