import assert from 'node:assert/strict';

import { type FoundBlock, readBlock } from './block-header';
import { BLOCK_BYTES, itemsOf, stage } from './byte-planes';
import { CodecError } from './codec.errors';
import { decompressBlocks, decompressFrame } from './zstd';

/**
 * Decodes a segment into `target`, on the calling thread.
 *
 * Nothing is believed before it is checked: no memory is taken by a length that the bytes declare,
 * and nothing is read or written outside of what was passed.
 *
 * @throws CodecError when the bytes encode no segment of the target's length
 */
export function decodeSegment(encoded: Uint8Array, target: Uint8Array, base?: Uint8Array): void {
  assert(!base || base.length === target.length, 'a base is as long as what is built on it');
  let at = 0;
  for (let rawAt = 0; rawAt < target.length;) {
    const block = readBlock(encoded, at, target.length - rawAt);
    const rawEnd = rawAt + block.rawBytes;
    decodeBlock(block, target.subarray(rawAt, rawEnd), base?.subarray(rawAt, rawEnd));
    rawAt = rawEnd;
    at = block.nextAt;
  }
  if (at !== encoded.length) throw damaged();
}

function decodeBlock(block: FoundBlock, target: Uint8Array, base: Uint8Array | undefined): void {
  const { method, isDelta, body } = block;
  if (isDelta && !base) throw new CodecError('A stored block needs a base and has none');
  const usedBase = isDelta ? base : undefined;
  switch (method) {
    case 'planes':
      decodePlanes(block, target, usedBase);
      return;
    case 'raw':
      if (body.length !== target.length) throw damaged();
      target.set(body);
      break;
    case 'zstd':
      decompressBlocks(body, target);
      break;
    case 'frame':
      decompressFrame(body, target);
      break;
  }
  if (usedBase) xorInto(target, usedBase);
}

function decodePlanes(
  { layout, body }: FoundBlock,
  target: Uint8Array,
  base: Uint8Array | undefined,
): void {
  const count = itemsOf(target.length, layout);
  if (target.length > BLOCK_BYTES || layout.phase >= layout.width || count === 0) throw damaged();
  const kernel = stage();
  const lengths = readLengths(body, layout.width, count);
  let { at } = lengths;
  for (const [index, bytes] of lengths.bytes.entries()) {
    const coded = body.subarray(at, at + bytes);
    if (coded.length !== bytes) throw damaged();
    const plane = kernel.plane(index, count);
    if (bytes === count) plane.set(coded);
    else decompressBlocks(coded, plane);
    at += bytes;
  }
  const { phase, width } = layout;
  const itemBytes = count * width;
  if (body.length - at !== target.length - itemBytes) throw damaged();

  if (base) kernel.base.set(base.subarray(phase, phase + itemBytes));
  kernel.join(count, layout, base !== undefined);
  target.set(kernel.items.subarray(0, itemBytes), phase);
  const head = body.subarray(at, at + phase);
  const tail = body.subarray(at + phase);
  target.set(head);
  target.set(tail, phase + itemBytes);
}

/** Seven bits a byte, the lowest first; 0 stands for a plane that is kept as it is. */
function readLengths(
  body: Uint8Array,
  planes: number,
  count: number,
): { bytes: number[]; at: number } {
  const bytes: number[] = [];
  let at = 0;
  while (bytes.length < planes) {
    let length = 0;
    let byte: number | undefined;
    for (let shift = 0; shift <= 14; shift += 7) {
      byte = body[at++];
      if (byte === undefined) throw damaged();
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (byte === undefined || byte >= 128 || length >= count) throw damaged();
    bytes.push(length === 0 ? count : length);
  }
  return { bytes, at };
}

/** XORs in pieces that fit the stage: the memory of the target is not the kernel's. */
function xorInto(target: Uint8Array, base: Uint8Array): void {
  const kernel = stage();
  for (let at = 0; at < target.length; at += BLOCK_BYTES) {
    const piece = target.subarray(at, at + BLOCK_BYTES);
    kernel.items.set(piece);
    kernel.base.set(base.subarray(at, at + BLOCK_BYTES));
    kernel.xor(piece.length);
    piece.set(kernel.items.subarray(0, piece.length));
  }
}

function damaged(): CodecError {
  return new CodecError('A stored block is not what was encoded');
}
