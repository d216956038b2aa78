import { createHash } from 'node:crypto';

import { decodeSegment } from './segment-decoder';
import { type FileEnd, type FileParts, type RunningFile } from './segment.codec';

const NOTHING = new Uint8Array(0);

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

  decodeNow(encoded: Uint8Array, rawBytes: number, base?: Uint8Array): Uint8Array<ArrayBuffer> {
    const isWhole = this.parts === 'whole';
    const raw = isWhole
      ? this.whole.subarray(this.at, this.at + rawBytes)
      : new Uint8Array(rawBytes);
    decodeSegment(encoded, raw, base);
    this.hash.update(raw);
    this.at += rawBytes;
    return this.parts === 'segments' ? raw : NOTHING;
  }

  async decode(
    encoded: Uint8Array,
    rawBytes: number,
    base?: Uint8Array,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return await Promise.resolve(this.decodeNow(encoded, rawBytes, base));
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
}
