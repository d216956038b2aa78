import assert from 'node:assert/strict';

import { CodecError } from './codec.errors';
import { type SegmentHint } from './segment.codec';
import { compressFrame, decompressFrame } from './zstd';

/** Bytes that a block can be longer than its raw bytes. */
export const SEGMENT_OVERHEAD_BYTES = 1;

export function encodeSegment(raw: Uint8Array, hint: SegmentHint = {}): Uint8Array<ArrayBuffer> {
  assert(!hint.base || hint.base.length === raw.length, 'a base is as long as what is built on it');
  if (raw.length === 0) return new Uint8Array();
  const packed = compressFrame(xored(raw, hint.base));
  if (packed.length < raw.length || hint.base) return tagged(1, packed);
  return tagged(0, raw);
}

export function decodeSegment(encoded: Uint8Array, target: Uint8Array, base?: Uint8Array): void {
  assert(!base || base.length === target.length, 'a base is as long as what is built on it');
  if (target.length === 0 && encoded.length === 0) return;
  const body = encoded.subarray(1);
  if (encoded[0] === 0 && body.length === target.length) target.set(body);
  else if (encoded[0] === 1) decompressFrame(body, target);
  else throw new CodecError('A stored block is not what was encoded');
  if (base) target.set(xored(target, base));
}

function tagged(tag: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const encoded = new Uint8Array(1 + body.length);
  encoded[0] = tag;
  encoded.set(body, 1);
  return encoded;
}

function xored(bytes: Uint8Array, base?: Uint8Array): Uint8Array {
  return base ? bytes.map((byte, index) => byte ^ (base[index] ?? 0)) : bytes;
}
