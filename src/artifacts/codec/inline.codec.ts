import { InlineFile } from './inline-file';
import { encodeSegment } from './segment-encoder';
import {
  type DecodedParts,
  type DecodedSegment,
  type EncodedSegment,
  type FileParts,
  type RunningFile,
  type SegmentCodec,
  type SegmentHint,
} from './segment.codec';
import { sha256 } from './sha256';
import { decodeEachNow, decodeStored } from './stored-segment';

/** Works on the calling thread: for executors and the library, which have nothing else to do meanwhile. */
export class InlineCodec implements SegmentCodec {
  async hash(raw: Uint8Array): Promise<string> {
    return await Promise.resolve(sha256(raw));
  }

  async encode(raw: Uint8Array, hint: SegmentHint = {}): Promise<Uint8Array> {
    return await Promise.resolve(encodeSegment(raw, hint));
  }

  async decode(segment: EncodedSegment, target: Uint8Array): Promise<void> {
    // At once, before memory that the target is a view of can move; what it throws still rejects.
    decodeStored(segment, target);
    await Promise.resolve();
  }

  async decodeEach(
    segments: readonly EncodedSegment[],
    wanted: DecodedParts,
  ): Promise<readonly DecodedSegment[]> {
    return await Promise.resolve(decodeEachNow(segments, wanted));
  }

  openFile(rawBytes: number, parts: FileParts): RunningFile {
    return new InlineFile(rawBytes, parts);
  }

  async close(): Promise<void> {
    // Nothing to stop.
  }
}
