import { type Codec } from '../artifact';

/** Raw bytes of one block: large enough to compress well, small enough to decode in a millisecond. */
export const BLOCK_BYTES = 1024 * 1024;

/**
 * Encodes and decodes one block at a time; blocks know nothing of each other.
 *
 * Both calls may take over the memory of what they are given when they run on another thread, so
 * the caller must not use it afterwards.
 */
export interface BlockCodec {
  encode(block: Uint8Array, codec: Codec): Promise<Uint8Array>;
  /**
   * @throws when the bytes are no block of exactly `rawBytes`; the caller knows which file they
   * belong to and reports it
   */
  decode(encoded: Uint8Array, codec: Codec, rawBytes: number): Promise<Uint8Array>;
  close(): Promise<void>;
}
