import { Compressor } from 'zstd-napi';
import { DCtx, getFrameContentSize } from 'zstd-napi/binding';

import { CodecError } from './codec.errors';

let compressor: Compressor | undefined;
let decompressor: DCtx | undefined;

export function compressFrame(raw: Uint8Array): Uint8Array {
  compressor ??= new Compressor();
  return compressor.compress(raw);
}

/** @throws CodecError unless the frame holds exactly what fits into `target` */
export function decompressFrame(frame: Uint8Array, target: Uint8Array): void {
  decompressor ??= new DCtx();
  let written = -1;
  try {
    if (getFrameContentSize(frame) === target.length) {
      written = decompressor.decompress(target, frame);
    }
  } catch (cause) {
    throw new CodecError('A stored block cannot be decompressed', {}, { cause });
  }
  if (written !== target.length) throw new CodecError('A stored block has another length');
}
