import { type ObjectId } from 'mongodb';

import { mintUploadId } from '../artifacts/blob.store';
import { type UploadClaims } from '../artifacts/upload-claims.port';
import { UploadAbandonedError } from './models.errors';
import { LEASE_MS, type UploadIntentsRepository } from './upload-intents.repository';

/**
 * One upload's hold on the blobs that it writes and uses.
 *
 * Renewed in the background while the upload runs; `assertHeld` is asked before each step that
 * others can see, so an upload that stood still for too long finds out before it publishes.
 */
export class UploadLease implements UploadClaims {
  readonly uploadId = mintUploadId();
  private readonly used = new Map<string, ObjectId>();
  private opening: Promise<void> | undefined;
  private stopped = false;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly intents: UploadIntentsRepository,
    private readonly model: string,
  ) {
    this.timer = setInterval(() => {
      // A renewal that fails is not the end: the next, or assertHeld, decides.
      if (this.opening) this.intents.renew(this.uploadId).catch(() => undefined);
    }, LEASE_MS / 3);
    this.timer.unref();
  }

  /** Whether the upload is over, or was left to the reaper. */
  get isStopped(): boolean {
    return this.stopped;
  }

  /** Blobs of others that the upload has come to rely on. */
  get uses(): readonly ObjectId[] {
    return [...this.used.values()];
  }

  async open(): Promise<void> {
    this.opening ??= this.intents.open(this.uploadId, this.model);
    await this.opening;
  }

  async use(blobs: readonly ObjectId[]): Promise<void> {
    const further = blobs.filter((blob) => !this.used.has(blob.toHexString()));
    if (further.length === 0) return;
    await this.open();
    if (!(await this.intents.use(this.uploadId, further))) throw abandoned();
    // Only now: whoever asks for the same meanwhile has to have it announced as well.
    for (const blob of further) this.used.set(blob.toHexString(), blob);
  }

  /** @throws UploadAbandonedError when the reaper took the upload over */
  async assertHeld(): Promise<void> {
    await this.open();
    if (!(await this.intents.renew(this.uploadId))) throw abandoned();
  }

  /** Stops renewing. What is then left in the database belongs to the reaper. */
  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
  }

  /** Ends the hold; what was held can be freed, and `release` forgets that there was anything. */
  async end(): Promise<void> {
    this.stop();
    if (this.opening) await this.intents.end(this.uploadId);
  }

  async release(): Promise<void> {
    this.stop();
    if (this.opening) await this.intents.release(this.uploadId);
  }
}

function abandoned(): UploadAbandonedError {
  return new UploadAbandonedError(
    'The upload gave no sign of life for too long and was cleaned up; upload again',
  );
}
