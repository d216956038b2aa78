import { Injectable } from '@nestjs/common';

import { BlobRemover } from '../artifacts/blob-remover';
import { AliasesService } from './aliases.service';
import { DeletionService } from './deletion.service';
import { type EndedUpload, UploadIntentsRepository } from './upload-intents.repository';
import { VersionsRepository } from './versions.repository';

export interface ReapOptions {
  /** True when no other process can be uploading, so every lease is a dead one's. */
  readonly soleOwner?: boolean;
  /** Ends it behind the upload or deletion that it is at. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finishes what interrupted uploads and deletions left behind.
 *
 * It goes by intents: files that were promised and whose lease ran out. A version that is still
 * on its way is failed first, by the same state change that a publish needs to become ready, so
 * bytes are only removed when nothing can come to point at them any more.
 */
@Injectable()
export class UploadReaper {
  constructor(
    private readonly intents: UploadIntentsRepository,
    private readonly versions: VersionsRepository,
    private readonly remover: BlobRemover,
    private readonly aliases: AliasesService,
    private readonly deletion: DeletionService,
  ) {}

  /**
   * Goes through all that was left behind once.
   *
   * @returns how many uploads and deletions were finished off
   */
  async reap({ soleOwner = false, signal }: ReapOptions = {}): Promise<number> {
    let reaped = await this.deletion.finishDue(signal);
    while (!signal?.aborted) {
      const upload = await this.intents.claimAbandoned(soleOwner);
      if (!upload) break;
      await this.finish(upload);
      reaped++;
    }
    return reaped;
  }

  private async finish({ _id, uses }: EndedUpload): Promise<void> {
    const uploadId = _id.toHexString();
    const version = await this.versions.findByUpload(uploadId);
    if (version && (version.state === 'pending' || version.state === 'verifying')) {
      await this.versions.markFailed(version._id, uploadId, {
        code: 'upload_interrupted',
        message: 'The upload was interrupted before the version was ready',
      });
    }
    const settled = version ? await this.versions.findByUpload(uploadId) : null;
    if (settled?.state === 'ready') {
      await this.aliases.pointFirst(settled.model, settled.version);
    }
    // Whatever the version names, if there is one, stays.
    await this.remover.freeUpload(_id, uses);
    await this.intents.release(_id);
  }
}
