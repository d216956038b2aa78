import assert from 'node:assert/strict';

import { type BlockTag, headerBytes, type Method, NO_LAYOUT, writeHeader } from './block-header';
import { BLOCK_BYTES, itemsOf, type PlaneLayout, stage } from './byte-planes';
import { mayRepeat, type Plan, planFor, SAMPLED_ABOVE_BYTES } from './plan';
import { type SegmentHint } from './segment.codec';
import { compressInto, LEAD_BYTES, packedBytes, roomFor, type ZstdSetting } from './zstd';

/** What an encoded segment can be longer than its raw bytes. */
export const SEGMENT_OVERHEAD_BYTES = 1;

/** Behind this, memory that a large segment needed is given back. */
const KEPT_BYTES = 8 * 1024 * 1024;

/** What blocks need beside what they stand for, generously. */
const BLOCK_ROOM_BYTES = 4 * 1024;

/** From here on a frame keeps its header: it can be decoded without copying it first. */
const WHOLE_FRAME_BYTES = 256 * 1024;

/**
 * What is left without repeats shrinks further by the frequencies of its bytes, but seldom to less
 * than this part of what those alone make of all bytes.
 */
const REPEATS_TO_BEAT = 1.25;

const WHOLE_FAST: Plan = { layout: undefined, settings: ['fast'], bytes: 0 };

let output = new Uint8Array(0);

/** Encodes a segment on the calling thread; the result has memory of its own. */
export function encodeSegment(raw: Uint8Array, hint: SegmentHint = {}): Uint8Array<ArrayBuffer> {
  const { base, dtype } = hint;
  assert(!base || base.length === raw.length, 'a base is as long as what is built on it');
  if (raw.length === 0) return new Uint8Array();
  const blocks = Math.ceil(raw.length / BLOCK_BYTES);
  const room = LEAD_BYTES + roomFor(raw.length) + blocks * BLOCK_ROOM_BYTES;
  if (output.length < room) output = new Uint8Array(room);

  const plan = planFor(raw, base, dtype);
  const isOneFrame = !plan.layout && !base;
  let end = isOneFrame
    ? writeBlock(raw, undefined, plan, LEAD_BYTES, true)
    : writeBlocks(raw, hint, plan);
  // Repeats far apart show in no sample: whole tensors that stand twice in a file nothing is known
  // of, or what else bytes that shrink this much may hold.
  const isSuspect = !base && plan.settings[0] !== 'dense' && (!dtype || end < raw.length / 2);
  if (
    isSuspect &&
    raw.length > SAMPLED_ABOVE_BYTES &&
    mayRepeat(raw, dtype ? 'near' : 'all', ((end - LEAD_BYTES) / raw.length) * REPEATS_TO_BEAT) &&
    end - LEAD_BYTES > packedBytes(raw, 'fast')
  ) {
    end = writeBlock(raw, undefined, WHOLE_FAST, LEAD_BYTES, true);
  }
  // Nothing gained: one block that holds the bytes as they are.
  const encoded =
    end - LEAD_BYTES < raw.length + SEGMENT_OVERHEAD_BYTES
      ? output.slice(LEAD_BYTES, end)
      : output.slice(LEAD_BYTES, writeRaw(raw, LEAD_BYTES, true));
  if (output.length > KEPT_BYTES) output = new Uint8Array(0);
  return encoded;
}

function writeBlocks(raw: Uint8Array, { base, dtype }: SegmentHint, plan: Plan): number {
  let at = LEAD_BYTES;
  for (let start = 0; start < raw.length; start += BLOCK_BYTES) {
    const end = Math.min(raw.length, start + BLOCK_BYTES);
    const block = raw.subarray(start, end);
    const blockBase = base?.subarray(start, end);
    // Bytes of unknown kind may change it anywhere; those of one tensor do not.
    const isKnown = dtype !== undefined || raw.length <= BLOCK_BYTES;
    const blockPlan = isKnown ? plan : planFor(block, blockBase);
    at = writeBlock(block, blockBase, blockPlan, at, end === raw.length);
  }
  return at;
}

/** Writes a block at `at` of the output and says where it ends. */
function writeBlock(
  raw: Uint8Array,
  base: Uint8Array | undefined,
  plan: Plan,
  at: number,
  isLast: boolean,
): number {
  const { layout, settings } = plan;
  const bodyAt = at + headerBytes(isLast);
  const end = layout
    ? writePlanes(raw, base, layout, settings, bodyAt)
    : writeFrame(raw, base, settings[0] ?? 'raw', bodyAt);
  if (end - bodyAt >= raw.length) return writeRaw(raw, at, isLast);
  const method: Method = layout ? 'planes' : isWholeFrame(raw) ? 'frame' : 'zstd';
  const isDelta = base !== undefined;
  const tag: BlockTag = { method, isDelta, layout: layout ?? NO_LAYOUT, isLast };
  writeHeader(output, at, tag, end - bodyAt);
  return end;
}

function writeRaw(raw: Uint8Array, at: number, isLast: boolean): number {
  const tag: BlockTag = { method: 'raw', isDelta: false, layout: NO_LAYOUT, isLast };
  writeHeader(output, at, tag, raw.length);
  const bodyAt = at + headerBytes(isLast);
  output.set(raw, bodyAt);
  return bodyAt + raw.length;
}

function writeFrame(
  raw: Uint8Array,
  base: Uint8Array | undefined,
  setting: ZstdSetting | 'raw',
  at: number,
): number {
  if (setting === 'raw') return at + raw.length;
  if (!base) return at + compressInto(raw, output, at, setting, isWholeFrame(raw));
  const kernel = stage();
  kernel.items.set(raw);
  kernel.base.set(base);
  kernel.xor(raw.length);
  const difference = kernel.items.subarray(0, raw.length);
  return at + compressInto(difference, output, at, setting, isWholeFrame(raw));
}

function isWholeFrame(raw: Uint8Array): boolean {
  return raw.length >= WHOLE_FRAME_BYTES;
}

function writePlanes(
  raw: Uint8Array,
  base: Uint8Array | undefined,
  layout: PlaneLayout,
  settings: Plan['settings'],
  at: number,
): number {
  const kernel = stage();
  const count = itemsOf(raw.length, layout);
  const itemsEnd = layout.phase + count * layout.width;
  kernel.items.set(raw.subarray(layout.phase, itemsEnd));
  if (base) kernel.base.set(base.subarray(layout.phase, itemsEnd));
  kernel.split(count, layout, base !== undefined);

  const lengthBytes = settings.map((setting) => (setting === 'raw' ? 1 : groupsOf(count)));
  let lengthAt = at;
  let end = at + lengthBytes.reduce((sum, bytes) => sum + bytes, 0);
  for (const [index, setting] of settings.entries()) {
    const plane = kernel.plane(index, count);
    let bytes = setting === 'raw' ? count : compressInto(plane, output, end, setting);
    if (bytes >= count) {
      bytes = count;
      output.set(plane, end);
    }
    lengthAt = writeLength(lengthAt, bytes === count ? 0 : bytes, lengthBytes[index] ?? 1);
    end += bytes;
  }
  output.set(raw.subarray(0, layout.phase), end);
  end += layout.phase;
  output.set(raw.subarray(itemsEnd), end);
  return end + raw.length - itemsEnd;
}

/** Seven bits a byte, the lowest first; as many bytes as were set aside before it was known. */
function writeLength(at: number, length: number, bytes: number): number {
  for (let index = 0; index < bytes; index++) {
    output[at + index] = ((length >>> (7 * index)) & 127) | (index === bytes - 1 ? 0 : 128);
  }
  return at + bytes;
}

function groupsOf(length: number): number {
  return Math.ceil((32 - Math.clz32(length)) / 7);
}
