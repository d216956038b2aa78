import { Injectable } from '@nestjs/common';
import { type ObjectId } from 'mongodb';

import { type ReferenceSource } from '../artifacts/reference-source.port';
import { UploadIntentsRepository } from './upload-intents.repository';
import { VersionsRepository } from './versions.repository';

/** What blobs are needed for: uploads that are under way, and versions. */
@Injectable()
export class BlobReferences implements ReferenceSource {
  constructor(
    private readonly intents: UploadIntentsRepository,
    private readonly versions: VersionsRepository,
  ) {}

  async referencedAmong(blobs: readonly ObjectId[]): Promise<ReadonlySet<string>> {
    const held = await this.intents.heldAmong(blobs);
    const named = await this.versions.namedAmong(
      blobs.filter((blob) => !held.has(blob.toHexString())),
    );
    return new Set([...held, ...named]);
  }
}
