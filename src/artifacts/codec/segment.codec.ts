/** What kind of numbers a segment holds; the widths follow from it. */
export const WEIGHT_DTYPES = [
  'float32',
  'float16',
  'bfloat16',
  'int32',
  'uint16',
  'int16',
  'uint8',
  'int8',
  'bool',
] as const;
export type WeightDtype = (typeof WEIGHT_DTYPES)[number];

/** What the caller knows about the bytes; a wrong hint costs space, never correctness. */
export interface SegmentHint {
  /** Absent where unknown or mixed: a sample of the bytes decides. */
  readonly dtype?: WeightDtype;
  /** Raw bytes of the same length that these resemble: only the differences are kept. */
  readonly base?: Uint8Array;
}

/** What else there is to a decoding. */
export interface DecodeOptions {
  /** What `encode` was given. */
  readonly base?: Uint8Array;
  /** Takes the raw bytes in, as the next ones; one that this codec has opened. */
  readonly digest?: RunningDigest;
}

/**
 * SHA-256 of what is decoded with it, laid end to end in the order of the calls of `decode`. A
 * decoding that fails fails it.
 */
export interface RunningDigest {
  /** Lowercase hex. */
  digest(): Promise<string>;
  /** Lets go of it, finished or not. */
  close(): void;
}

/**
 * Hashes, encodes and decodes segments of artifact files; the bytes are those of docs/blob-format.md.
 *
 * No call takes memory over: views of any buffer may be passed, must stay unchanged until the
 * promise settles, and are the caller's again afterwards. Views of a `SharedArrayBuffer` reach
 * another thread without a copy, all others with one. Every call is independent of all others.
 */
export interface SegmentCodec {
  /** SHA-256 of the bytes, lowercase hex. */
  hash(raw: Uint8Array): Promise<string>;
  /** Encodes; the result is at most one byte longer than `raw`. */
  encode(raw: Uint8Array, hint?: SegmentHint): Promise<Uint8Array>;
  /**
   * Decodes into `target`, whose length must be that of the raw bytes. Damage that leaves the format intact shows in the digest of the raw bytes only, which
   * the caller compares.
   *
   * @throws CodecError when the bytes encode no segment of that length
   */
  decode(encoded: Uint8Array, target: Uint8Array, options?: DecodeOptions): Promise<void>;
  /**
   * SHA-256 of what would be decoded, of which nothing is given out.
   *
   * @throws CodecError as `decode` does
   */
  hashDecoded(encoded: Uint8Array, rawBytes: number, base?: Uint8Array): Promise<string>;
  /** Begins the digest of about so many bytes, which are then decoded piece by piece. */
  openDigest(rawBytes: number): RunningDigest;
  close(): Promise<void>;
}
