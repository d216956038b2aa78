import { CodecError, StoredSegmentError } from './codec.errors';
import { Scratch } from './scratch';
import { decodeSegment } from './segment-decoder';
import { type DecodedParts, type DecodedSegment, type EncodedSegment } from './segment.codec';
import { sha256 } from './sha256';

const joinedScratch = new Scratch();
const baseScratch = new Scratch();
const rawScratch = new Scratch();

const NOTHING = new Uint8Array(0);

/**
 * Decodes a segment as it is stored into `target`, on the calling thread; `index` is what an error
 * calls it.
 *
 * @throws StoredSegmentError
 */
export function decodeStored(
  { pieces, base }: EncodedSegment,
  target: Uint8Array,
  index = 0,
): void {
  let isInBase = true;
  try {
    const raw = base && decodeBase(base, target.length);
    isInBase = false;
    decodeSegment(joined(pieces), target, raw);
  } catch (cause) {
    if (!(cause instanceof CodecError)) throw cause;
    throw new StoredSegmentError(cause.message, index, isInBase, { cause });
  }
}

/**
 * Decodes segments on the calling thread, each for itself.
 *
 * @throws StoredSegmentError
 */
export function decodeEachNow(
  segments: readonly EncodedSegment[],
  wanted: DecodedParts,
): DecodedSegment[] {
  return segments.map((segment, index) => {
    const { rawBytes } = segment;
    const own = wanted === 'digest' ? undefined : new Uint8Array(rawBytes);
    const raw = own ?? rawScratch.take(rawBytes);
    decodeStored(segment, raw, index);
    return { bytes: own ?? NOTHING, sha256: wanted === 'bytes' ? '' : sha256(raw) };
  });
}

function decodeBase(pieces: readonly Uint8Array[], rawBytes: number): Uint8Array {
  const raw = baseScratch.take(rawBytes);
  decodeSegment(joined(pieces), raw);
  return raw;
}

/** Until the next call. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (only && pieces.length === 1) return only;
  const whole = joinedScratch.take(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
