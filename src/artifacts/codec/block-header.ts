import { BLOCK_BYTES, type PlaneLayout } from './byte-planes';
import { CodecError } from './codec.errors';

/**
 * How the body of a block stands for its raw bytes; `zstd` is a frame without its header, `frame` a
 * whole one, which is decoded where it stands.
 */
export const METHODS = ['raw', 'zstd', 'planes', 'frame'] as const;
export type Method = (typeof METHODS)[number];

/** What the first byte of a block says. */
export interface BlockTag {
  readonly method: Method;
  /** Whether the body stands for the difference to the base. */
  readonly isDelta: boolean;
  /** For `planes` only. */
  readonly layout: PlaneLayout;
  /** Whether this block holds all that is left of the segment, and so needs no length. */
  readonly isLast: boolean;
}

/** A block that was found in a segment: where its body is, and what it stands for. */
export interface FoundBlock extends BlockTag {
  readonly body: Uint8Array;
  readonly rawBytes: number;
  readonly nextAt: number;
}

export const NO_LAYOUT: PlaneLayout = { width: 2, rotate: false, phase: 0 };

const LENGTH_BYTES = 3;

/**
 * A block begins with a byte: bits 0-1 the method, bit 2 delta, bit 3 width 4 instead of 2, bit 4
 * rotation, bits 5-6 phase, bit 7 last. Unless it is the last, its body's length follows in three
 * bytes, little endian, and it stands for `BLOCK_BYTES` raw bytes.
 */
export function writeHeader(target: Uint8Array, at: number, tag: BlockTag, bytes: number): void {
  const { method, isDelta, layout, isLast } = tag;
  target[at] =
    METHODS.indexOf(method) |
    (isDelta ? 4 : 0) |
    (layout.width === 4 ? 8 : 0) |
    (layout.rotate ? 16 : 0) |
    (layout.phase << 5) |
    (isLast ? 128 : 0);
  if (isLast) return;
  target[at + 1] = bytes;
  target[at + 2] = bytes >>> 8;
  target[at + 3] = bytes >>> 16;
}

export function headerBytes(isLast: boolean): number {
  return isLast ? 1 : 1 + LENGTH_BYTES;
}

/**
 * Reads the header of the block at `at` when `rawLeft` raw bytes are still to come.
 *
 * @throws CodecError when no block can stand there
 */
export function readBlock(encoded: Uint8Array, at: number, rawLeft: number): FoundBlock {
  const first = encoded[at];
  if (first === undefined) throw damaged();
  const method = METHODS[first & 3];
  const isLast = (first & 128) !== 0;
  // Whatever is not planes has nothing to say about them: a set bit there is damage.
  if (!method || (method !== 'planes' && (first & 0x78) !== 0)) throw damaged();
  const bodyAt = at + headerBytes(isLast);
  const bodyBytes = isLast ? encoded.length - bodyAt : readLength(encoded, at + 1);
  const rawBytes = isLast ? rawLeft : BLOCK_BYTES;
  if (bodyAt + bodyBytes > encoded.length || (!isLast && rawLeft <= BLOCK_BYTES)) throw damaged();
  const layout: PlaneLayout = {
    width: (first & 8) === 0 ? 2 : 4,
    rotate: (first & 16) !== 0,
    phase: ((first >>> 5) & 3) as PlaneLayout['phase'],
  };
  const body = encoded.subarray(bodyAt, bodyAt + bodyBytes);
  const isDelta = (first & 4) !== 0;
  return { method, isDelta, layout, isLast, body, rawBytes, nextAt: bodyAt + bodyBytes };
}

function readLength(encoded: Uint8Array, at: number): number {
  const [low, middle, high] = encoded.subarray(at, at + LENGTH_BYTES);
  if (low === undefined || middle === undefined || high === undefined) throw damaged();
  return low | (middle << 8) | (high << 16);
}

function damaged(): CodecError {
  return new CodecError('A stored block is not what was encoded');
}
