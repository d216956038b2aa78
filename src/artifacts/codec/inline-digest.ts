import { createHash } from 'node:crypto';

import { type RunningDigest } from './segment.codec';

/** A digest on the calling thread, which takes bytes in at once. */
export class InlineDigest implements RunningDigest {
  private readonly hash = createHash('sha256');

  update(bytes: Uint8Array): void {
    this.hash.update(bytes);
  }

  async digest(): Promise<string> {
    return await Promise.resolve(this.hash.digest('hex'));
  }

  close(): void {
    // Nothing to let go of.
  }
}
