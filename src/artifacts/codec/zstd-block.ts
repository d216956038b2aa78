import { Compressor } from 'zstd-napi';
import { DCtx, getFrameContentSize } from 'zstd-napi/binding';

import { type Codec } from '../artifact';
import { CodecError } from './codec.errors';

// Higher levels gain nothing on float weights and cost ten times the time.
const LEVEL = 3;

let compressor: Compressor | undefined;
let decompressor: DCtx | undefined;

/** Encodes a block on the calling thread. */
export function encodeBlock(block: Uint8Array, codec: Codec): Uint8Array {
  switch (codec) {
    case 'raw':
      return block;
    case 'zstd':
      if (!compressor) {
        compressor = new Compressor();
        // A range of a file is checked by its blocks alone, so each carries a checksum.
        compressor.setParameters({ compressionLevel: LEVEL, checksumFlag: true });
      }
      return compressor.compress(block);
  }
}

/**
 * Decodes a block on the calling thread, the inverse of `encodeBlock`.
 *
 * @throws CodecError when the bytes are no block of exactly `rawBytes`
 */
export function decodeBlock(encoded: Uint8Array, codec: Codec, rawBytes: number): Uint8Array {
  switch (codec) {
    case 'raw':
      if (encoded.length !== rawBytes) {
        throw new CodecError('A stored block has another length than recorded');
      }
      return encoded;
    case 'zstd': {
      const target = new Uint8Array(rawBytes);
      decompressor ??= new DCtx();
      let written: number;
      try {
        // The frame's own claim is compared before a byte is produced: a false one is corruption.
        if (getFrameContentSize(encoded) !== rawBytes) written = -1;
        else written = decompressor.decompress(target, encoded);
      } catch (cause) {
        throw new CodecError('A stored block cannot be decompressed', {}, { cause });
      }
      if (written !== rawBytes) {
        throw new CodecError('A stored block has another length than recorded');
      }
      return target;
    }
  }
}
