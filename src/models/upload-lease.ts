import { randomUUID } from 'node:crypto';

import { type ObjectId } from 'mongodb';

import { UploadAbandonedError } from './models.errors';
import { LEASE_MS, type UploadIntentsRepository } from './upload-intents.repository';

/**
 * One upload's hold on the files that it writes.
 *
 * Renewed in the background while the upload runs; `assertHeld` is asked before each step that
 * others can see, so an upload that stood still for too long finds out before it publishes.
 */
export class UploadLease {
  readonly uploadId = randomUUID();
  private readonly fileIds: ObjectId[] = [];
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly intents: UploadIntentsRepository,
    private readonly model: string,
  ) {
    this.timer = setInterval(() => {
      // A renewal that fails is not the end: the next, or assertHeld, decides.
      this.intents.renew(this.uploadId).catch(() => undefined);
    }, LEASE_MS / 3);
    this.timer.unref();
  }

  get files(): readonly ObjectId[] {
    return this.fileIds;
  }

  async addFile(fileId: ObjectId): Promise<void> {
    await this.intents.open(fileId, this.uploadId, this.model);
    this.fileIds.push(fileId);
  }

  /** @throws UploadAbandonedError when the reaper took the files */
  async assertHeld(): Promise<void> {
    if ((await this.intents.renew(this.uploadId)) !== this.fileIds.length) {
      throw new UploadAbandonedError(
        'The upload gave no sign of life for too long and was cleaned up; upload again',
      );
    }
  }

  /** Stops renewing. What is then left in the database belongs to the reaper. */
  stop(): void {
    clearInterval(this.timer);
  }

  async release(): Promise<void> {
    this.stop();
    await this.intents.release(this.uploadId);
  }
}
