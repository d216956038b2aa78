import { createHash } from 'node:crypto';

import { Scratch } from './scratch';
import {
  type EncodedSegment,
  type FileEnd,
  type FileParts,
  type RunningFile,
} from './segment.codec';
import { decodeStored } from './stored-segment';

const NOTHING = new Uint8Array(0);

const scratch = new Scratch();

/** A file on the calling thread, decoded straight to where its bytes are to stand. */
export class InlineFile implements RunningFile {
  private readonly hash = createHash('sha256');
  private readonly whole: Uint8Array<ArrayBuffer>;
  private at = 0;

  constructor(
    rawBytes: number,
    private readonly parts: FileParts,
  ) {
    this.whole = parts === 'whole' ? new Uint8Array(rawBytes) : NOTHING;
  }

  decodeNow(segments: readonly EncodedSegment[]): Uint8Array<ArrayBuffer>[] {
    return segments.map((segment, index) => {
      const raw = this.roomFor(segment.rawBytes);
      decodeStored(segment, raw, index);
      this.hash.update(raw);
      this.at += segment.rawBytes;
      return this.parts === 'segments' ? raw : NOTHING;
    });
  }

  async decode(segments: readonly EncodedSegment[]): Promise<readonly Uint8Array<ArrayBuffer>[]> {
    return await Promise.resolve(this.decodeNow(segments));
  }

  endNow(): FileEnd {
    return { sha256: this.hash.digest('hex'), bytes: this.whole.buffer };
  }

  async end(): Promise<FileEnd> {
    return await Promise.resolve(this.endNow());
  }

  close(): void {
    // Nothing to let go of.
  }

  private roomFor(rawBytes: number): Uint8Array<ArrayBuffer> {
    switch (this.parts) {
      case 'whole':
        return this.whole.subarray(this.at, this.at + rawBytes);
      case 'segments':
        return new Uint8Array(rawBytes);
      case 'none':
        return scratch.take(rawBytes);
    }
  }
}
