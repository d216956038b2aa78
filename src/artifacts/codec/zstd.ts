import { CCtx, compressBound, CParameter, DCtx, Strategy } from 'zstd-napi/binding';

import { CodecError } from './codec.errors';

/**
 * Ways to call zstd; its frames do not tell them apart.
 *
 * Weights hold no repeats, and the search for them only takes time and spoils the statistics: the
 * `plain` ones code each byte by its frequency alone, `near` looks for close and cheap repeats. The
 * number is the power of two of the bytes after which the statistics begin anew.
 */
export type ZstdSetting =
  'plain17' | 'plain15' | 'plain14' | 'plain13' | 'near14' | 'fast' | 'dense';

/** `ZSTD_c_literalCompressionMode`, which the binding passes on though it does not name it. */
const LITERAL_MODE = 1002 as CParameter;
const LITERALS_PACKED = 1;
const LITERALS_KEPT = 2;

/** With the fast strategy the target length is how quickly the search gives up. */
const NO_SEARCH = 131_072;

const SETTINGS: Readonly<Record<ZstdSetting, readonly (readonly [CParameter, number])[]>> = {
  plain17: plain(17),
  plain15: plain(15),
  plain14: plain(14),
  plain13: plain(13),
  near14: [...plain(14), [CParameter.hashLog, 14], [CParameter.targetLength, 8]],
  fast: [[CParameter.compressionLevel, 3]],
  dense: [[CParameter.compressionLevel, 15]],
};

/** Magic number, descriptor with a size of 4 bytes in a single segment; the size follows. */
const FRAME_START = [0x28, 0xb5, 0x2f, 0xfd, 0xa0];
const FRAME_HEADER_BYTES = FRAME_START.length + 4;

/** Magic number, an empty descriptor and the window: what the compressor writes, and nobody needs. */
export const LEAD_BYTES = 6;

/** These find repeats and pack nothing; the first is five times as fast as what is to be stored. */
const REPEATS: readonly (readonly [CParameter, number])[] = [
  [CParameter.compressionLevel, 1],
  [CParameter.strategy, Strategy.fast],
  [CParameter.minMatch, 6],
  [CParameter.hashLog, 15],
  [CParameter.targetLength, 8],
  [LITERAL_MODE, LITERALS_KEPT],
];
/** All that `fast` would find, in half its time: in noise the other one soon skips too much. */
const FAR_REPEATS: readonly (readonly [CParameter, number])[] = [
  ...SETTINGS.fast,
  [LITERAL_MODE, LITERALS_KEPT],
];

const compressors = new Map<readonly (readonly [CParameter, number])[], CCtx>();
let decompressor: DCtx | undefined;
let trial = new Uint8Array(0);
let scratch = new Uint8Array(0);

/** Room that `compressInto` needs behind `at`. */
export function roomFor(rawBytes: number): number {
  return compressBound(rawBytes);
}

/**
 * Writes the blocks of a zstd frame to `target` from `at` on, and says how many bytes; the frame's
 * header is left out, or for `whole` put in.
 *
 * Uses the `LEAD_BYTES` before `at` for a moment.
 */
export function compressInto(
  raw: Uint8Array,
  target: Uint8Array,
  at: number,
  setting: ZstdSetting,
  whole = false,
): number {
  const blocksAt = whole ? at + FRAME_HEADER_BYTES : at;
  const start = blocksAt - LEAD_BYTES;
  const before = target.slice(start, blocksAt);
  const written = compressorFor(SETTINGS[setting]).compress2(target.subarray(start), raw);
  target.set(before, start);
  if (!whole) return written - LEAD_BYTES;
  writeFrameHeader(target, at, raw.length);
  return FRAME_HEADER_BYTES + written - LEAD_BYTES;
}

function writeFrameHeader(target: Uint8Array, at: number, rawBytes: number): void {
  target.set(FRAME_START, at);
  new DataView(target.buffer, target.byteOffset).setUint32(at + FRAME_START.length, rawBytes, true);
}

/** How many bytes `compressInto` would write. */
export function packedBytes(raw: Uint8Array, setting: ZstdSetting): number {
  if (trial.length < compressBound(raw.length)) trial = new Uint8Array(compressBound(raw.length));
  return compressorFor(SETTINGS[setting]).compress2(trial, raw) - LEAD_BYTES;
}

/** How many bytes would be left if only repeats were taken out: those that are near, or all. */
export function withoutRepeats(raw: Uint8Array, among: 'near' | 'all'): number {
  if (trial.length < compressBound(raw.length)) trial = new Uint8Array(compressBound(raw.length));
  return compressorFor(among === 'all' ? FAR_REPEATS : REPEATS).compress2(trial, raw) - LEAD_BYTES;
}

/** @throws CodecError unless the blocks of a frame hold exactly what fits into `target` */
export function decompressBlocks(blocks: Uint8Array, target: Uint8Array): void {
  // More than that is no encoding of these bytes, and must not make us take memory for it.
  if (blocks.length > compressBound(target.length)) throw damaged();
  const length = FRAME_HEADER_BYTES + blocks.length;
  if (scratch.length < length) {
    scratch = new Uint8Array(FRAME_HEADER_BYTES + compressBound(target.length));
  }
  writeFrameHeader(scratch, 0, target.length);
  scratch.set(blocks, FRAME_HEADER_BYTES);
  decompressFrame(scratch.subarray(0, length), target);
}

/** @throws CodecError unless the frame holds exactly what fits into `target` */
export function decompressFrame(frame: Uint8Array, target: Uint8Array): void {
  decompressor ??= new DCtx();
  let written: number;
  try {
    written = decompressor.decompress(target, frame);
  } catch (cause) {
    throw new CodecError('A stored block cannot be decompressed', {}, { cause });
  }
  if (written !== target.length) throw damaged();
}

function compressorFor(setting: readonly (readonly [CParameter, number])[]): CCtx {
  const known = compressors.get(setting);
  if (known) return known;
  const context = new CCtx();
  // The raw length is known from elsewhere; without it the header has always the same length.
  context.setParameter(CParameter.contentSizeFlag, 0);
  for (const [parameter, value] of setting) context.setParameter(parameter, value);
  compressors.set(setting, context);
  return context;
}

function plain(windowLog: number): [CParameter, number][] {
  return [
    [CParameter.compressionLevel, 1],
    [CParameter.strategy, Strategy.fast],
    [CParameter.minMatch, 7],
    [CParameter.hashLog, 6],
    [CParameter.targetLength, NO_SEARCH],
    [LITERAL_MODE, LITERALS_PACKED],
    // A zstd block, which brings its own statistics, is no longer than the window.
    [CParameter.windowLog, windowLog],
  ];
}

function damaged(): CodecError {
  return new CodecError('A stored block is not what was encoded');
}
