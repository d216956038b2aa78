import { type Codec } from '../artifact';
import { type BlockCodec } from './block-codec';
import { decodeBlock, encodeBlock } from './zstd-block';

/** Works on the calling thread: for executors and the library, which have nothing else to do meanwhile. */
export class InlineCodec implements BlockCodec {
  async encode(block: Uint8Array, codec: Codec): Promise<Uint8Array> {
    return await Promise.resolve(encodeBlock(block, codec));
  }

  async decode(encoded: Uint8Array, codec: Codec, rawBytes: number): Promise<Uint8Array> {
    return await Promise.resolve(decodeBlock(encoded, codec, rawBytes));
  }

  async close(): Promise<void> {
    // Nothing to stop.
  }
}
