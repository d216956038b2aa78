import { decodeSegment } from './segment-decoder';
import { sha256 } from './sha256';

/** Behind this, memory that a large segment needed is given back. */
const KEPT_BYTES = 8 * 1024 * 1024;

let decoded = new Uint8Array(0);

/**
 * Decodes a segment into memory of the calling thread that is used again, and hashes it there.
 *
 * @throws CodecError when the bytes encode no segment of that length
 */
export function hashDecoded(encoded: Uint8Array, rawBytes: number, base?: Uint8Array): string {
  if (decoded.length < rawBytes) decoded = new Uint8Array(rawBytes);
  const raw = decoded.subarray(0, rawBytes);
  decodeSegment(encoded, raw, base);
  const hash = sha256(raw);
  if (decoded.length > KEPT_BYTES) decoded = new Uint8Array(0);
  return hash;
}
