import { decodeSegment } from './segment-decoder';
import { encodeSegment } from './segment-encoder';
import { type SegmentCodec, type SegmentHint } from './segment.codec';
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
    // Inside the promise, so that a broken segment rejects and never throws at the call.
    await Promise.resolve();
    decodeSegment(encoded, target, base);
  }

  async close(): Promise<void> {
    // Nothing to stop.
  }
}
