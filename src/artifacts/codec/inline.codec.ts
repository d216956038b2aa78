import assert from 'node:assert/strict';

import { hashDecoded } from './hash-decoded';
import { InlineDigest } from './inline-digest';
import { decodeSegment } from './segment-decoder';
import { encodeSegment } from './segment-encoder';
import {
  type DecodeOptions,
  type RunningDigest,
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

  async decode(
    encoded: Uint8Array,
    target: Uint8Array,
    { base, digest }: DecodeOptions = {},
  ): Promise<void> {
    // At once, before memory that the target is a view of can move; what it throws still rejects.
    decodeSegment(encoded, target, base);
    if (digest) {
      assert(digest instanceof InlineDigest, 'a digest belongs to the codec that has opened it');
      digest.update(target);
    }
    await Promise.resolve();
  }

  async hashDecoded(encoded: Uint8Array, rawBytes: number, base?: Uint8Array): Promise<string> {
    return await Promise.resolve(hashDecoded(encoded, rawBytes, base));
  }

  openDigest(): RunningDigest {
    return new InlineDigest();
  }

  async close(): Promise<void> {
    // Nothing to stop.
  }
}
