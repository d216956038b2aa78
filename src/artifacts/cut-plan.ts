import { SEGMENT_BYTES } from './artifact';
import { type WeightDtype } from './codec/segment.codec';

/** Smaller tensors are packed together: requests must never scale with their number. */
const PACK_BELOW_BYTES = 64 * 1024;

/** Most pieces that one group of weights is cut into, tensors of any number: a version document has a limit. */
const MAX_PIECES = 8_192;

/** Names can be long; a piece without a key is only never the base of a difference. */
const MAX_KEY_LENGTH = 200;

/** One tensor of a weights manifest, in the order of its bytes. */
export interface PlannedTensor {
  readonly name: string;
  readonly bytes: number;
  readonly dtype?: WeightDtype;
}

/** Weights that stand end to end in files, however these were cut. */
export interface WeightGroup {
  readonly paths: readonly string[];
  readonly tensors: readonly PlannedTensor[];
}

/** The next stretch of a file that becomes a segment. */
export interface Cut {
  readonly bytes: number;
  readonly key?: string;
  readonly dtype?: WeightDtype;
}

/**
 * Where a group of weights is cut: a large tensor every `SEGMENT_BYTES` from its start, runs of
 * small ones into packs. So equal tensors are equal segments wherever they stand in their file.
 */
export function planPieces(tensors: readonly PlannedTensor[]): Cut[] {
  const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  const packBelow = Math.max(PACK_BELOW_BYTES, Math.ceil((2 * total) / MAX_PIECES));
  const pieces: Cut[] = [];
  let pack: PlannedTensor[] = [];
  let packed = 0;
  const closePack = (): void => {
    if (packed > 0) pieces.push(packCut(pack, packed));
    pack = [];
    packed = 0;
  };
  for (const tensor of tensors) {
    const { bytes } = tensor;
    if (bytes < packBelow) {
      if (packed + bytes > SEGMENT_BYTES) closePack();
      pack.push(tensor);
      packed += bytes;
      continue;
    }
    closePack();
    for (let at = 0; at < bytes; at += SEGMENT_BYTES) {
      pieces.push(cut(tensor, at, Math.min(SEGMENT_BYTES, bytes - at)));
    }
  }
  closePack();
  return pieces;
}

/**
 * The cuts of a file that begins at `start` of a group: pieces, the first and the last maybe
 * shortened, and behind them cuts of the largest size without end.
 */
export function* cutsFrom(pieces: readonly Cut[], start: number): Generator<Cut, never> {
  let at = 0;
  for (const piece of pieces) {
    const skipped = Math.max(0, start - at);
    at += piece.bytes;
    if (skipped >= piece.bytes) continue;
    yield skipped === 0 ? piece : restOf(piece, skipped);
  }
  for (;;) yield { bytes: SEGMENT_BYTES };
}

/** The cuts of a file of `bytes` bytes, the last one shortened to its end. */
export function cutsOfFile(cuts: Iterator<Cut, never>, bytes: number): Cut[] {
  const found: Cut[] = [];
  for (let left = bytes; left > 0;) {
    const cut = cuts.next().value;
    found.push(cut.bytes <= left ? cut : { ...cut, bytes: left });
    left -= Math.min(left, cut.bytes);
  }
  return found;
}

function cut({ name, dtype }: PlannedTensor, at: number, bytes: number): Cut {
  return { bytes, ...keyOf(`${name}@${at}:${dtype ?? ''}`), ...(dtype ? { dtype } : {}) };
}

function packCut(tensors: readonly PlannedTensor[], bytes: number): Cut {
  const first = tensors[0]?.name ?? '';
  const dtype = prevailingDtype(tensors);
  return { bytes, ...keyOf(`${first}+${tensors.length - 1}`), ...(dtype ? { dtype } : {}) };
}

/** What is left of a piece of which a file before holds the beginning. */
function restOf({ bytes, key, dtype }: Cut, skipped: number): Cut {
  return {
    bytes: bytes - skipped,
    ...(key === undefined ? {} : keyOf(`${key}/${skipped}`)),
    ...(dtype ? { dtype } : {}),
  };
}

function keyOf(key: string): { readonly key?: string } {
  return key.length <= MAX_KEY_LENGTH ? { key } : {};
}

function prevailingDtype(tensors: readonly PlannedTensor[]): WeightDtype | undefined {
  const bytes = new Map<WeightDtype | undefined, number>();
  for (const tensor of tensors) {
    bytes.set(tensor.dtype, (bytes.get(tensor.dtype) ?? 0) + tensor.bytes);
  }
  return [...bytes].sort(([, a], [, b]) => b - a)[0]?.[0];
}
