import { hashDecoded } from './hash-decoded';
import { InlineFile } from './inline-file';
import { decodeSegment } from './segment-decoder';
import { encodeSegment } from './segment-encoder';
import {
  type FileParts,
  type RunningFile,
  type SegmentCodec,
  type SegmentHint,
} from './segment.codec';
import { sha256 } from './sha256';

/** Works on the calling thread: for executors and the library, which have nothing else to do meanwhile. */
export class InlineCodec implements SegmentCodec {
  async hash(raw: Uint8Array): Promise<string> {
    return await Promise.resolve(sha256(raw));
  }

  async encode(raw: Uint8Array, hint: SegmentHint = {}): Promise<Uint8Array> {
    return await Promise.resolve(encodeSegment(raw, hint));
  }

  async decode(encoded: Uint8Array, target: Uint8Array, base?: Uint8Array): Promise<void> {
    // At once, before memory that the target is a view of can move; what it throws still rejects.
    decodeSegment(encoded, target, base);
    await Promise.resolve();
  }

  async hashDecoded(encoded: Uint8Array, rawBytes: number, base?: Uint8Array): Promise<string> {
    return await Promise.resolve(hashDecoded(encoded, rawBytes, base));
  }

  openFile(rawBytes: number, parts: FileParts): RunningFile {
    return new InlineFile(rawBytes, parts);
  }

  async close(): Promise<void> {
    // Nothing to stop.
  }
}
