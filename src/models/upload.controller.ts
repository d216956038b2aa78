import assert from 'node:assert';
import { pipeline } from 'node:stream';

import { Controller, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { type Request, type Response } from 'express';

import { readParts } from '../artifacts/parts/read-parts';
import { parseAlias, parseModelName } from '../common/model-ref';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { Idempotency, type KeyedAnswer } from '../http/idempotency.service';
import { flag, readQuery, text } from '../http/query';
import { AliasesService } from './aliases.service';
import { UploadDocs } from './models.docs';
import { VersionRejectedError } from './models.errors';
import { type Preview, type PublishRequest, PublishService } from './publish.service';
import { digestCheck } from './upload-digest';
import { UploadFingerprint } from './upload-fingerprint';
import { METADATA_FIELD, parseUploadMetadata } from './upload-metadata';
import { toVersionAnswer, type VersionAnswer } from './version.answer';

const MAX_FILES = 10_000;
const MAX_FIELD_BYTES = 1024 * 1024;

const PARAMETERS = {
  promote: text,
  dryRun: flag,
  filename: text,
  metadata: { read: (given: string) => ({ value: given }), maxLength: 64 * 1024 },
};

/** What a dry run answers: the version as it would be. */
export interface PreviewAnswer extends Omit<VersionAnswer, 'version' | 'state'> {
  readonly dryRun: true;
  readonly existingVersion: number | null;
}

/** The way in for versions: a stream of files that is checked, stored, proven, and only then served. */
@ApiTags('versions')
@Controller('api/models/:model/versions')
export class UploadController {
  constructor(
    private readonly publisher: PublishService,
    private readonly aliases: AliasesService,
    private readonly idempotency: Idempotency,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Post()
  @UploadDocs()
  async upload(
    @Param('model') model: string,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<VersionAnswer | PreviewAnswer> {
    const name = parseModelName(model);
    const query = readQuery(request, PARAMETERS);
    const promote = query.promote === undefined ? undefined : parseAlias(query.promote);
    const maxBytes = this.config.maxUploadBytes;

    const digest = digestCheck(request.header('Content-Digest'));
    const parts = readParts(
      {
        contentType: request.header('Content-Type'),
        contentEncoding: request.header('Content-Encoding'),
        contentLength: Number(request.header('Content-Length') ?? 0),
        filename: query.filename,
        textFields: [METADATA_FIELD],
        // A broken request breaks the stream behind the digest too.
        body: digest ? pipeline(request, digest, () => undefined) : request,
      },
      { maxBytes, maxParts: MAX_FILES, maxFieldBytes: MAX_FIELD_BYTES },
    );
    const fingerprint = new UploadFingerprint(parts);
    const publish = {
      model: name,
      parts: request.header('Idempotency-Key') === undefined ? parts : fingerprint.parts(),
      metadata: () => parseUploadMetadata(parts.fields, query.metadata),
      assertArrived: () => digest?.assertMatches(),
      ...(promote === undefined ? {} : { promote }),
      movedBy: 'anonymous',
    };
    if (query.dryRun === true) {
      response.status(200);
      return toPreviewAnswer(await this.publisher.preview(publish));
    }
    return await this.idempotency.answer(request, response, {
      fingerprint: async () => await fingerprint.of(publish),
      run: async () => await this.publish(publish),
      // It took a number: a second one must not be spent on the same mistake.
      isFinal: (error) => error instanceof VersionRejectedError,
    });
  }

  private async publish(publish: PublishRequest): Promise<KeyedAnswer<VersionAnswer>> {
    const { version, created } = await this.publisher.publish(publish);
    const byVersion = await this.aliases.aliasesByVersion(version.model);
    return {
      status: created ? 201 : 200,
      headers: { Location: `/api/models/${version.model}/versions/${version.version}` },
      body: toVersionAnswer(version, byVersion.get(version.version) ?? []),
    };
  }
}

function toPreviewAnswer({ draft, existingVersion }: Preview): PreviewAnswer {
  const { version, state, ...rest } = toVersionAnswer({ ...draft, _id: '', version: 0 }, []);
  assert(version === 0 && state === 'pending', 'a draft has neither number nor state');
  return { dryRun: true, existingVersion, ...rest };
}
