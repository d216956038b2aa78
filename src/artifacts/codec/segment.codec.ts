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

/** What is wanted of a file beside its digest. */
export type FileParts = 'segments' | 'whole' | 'none';

export interface FileEnd {
  /** SHA-256 of all raw bytes, lowercase hex. */
  readonly sha256: string;
  /** All raw bytes where parts are `whole`, with nothing before or behind them; else nothing. */
  readonly bytes: ArrayBuffer;
}

/** A file whose segments are decoded one behind the other, in the order of the calls. */
export interface RunningFile {
  /**
   * Gives the raw bytes where parts are `segments`; else nothing.
   *
   * @throws CodecError as `SegmentCodec.decode` does; then nothing more comes of the file
   */
  decode(
    encoded: Uint8Array,
    rawBytes: number,
    base?: Uint8Array,
  ): Promise<Uint8Array<ArrayBuffer>>;
  end(): Promise<FileEnd>;
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
   * Decodes into `target`, whose length must be that of the raw bytes. `base` is what `encode` was
   * given. Damage that leaves the format intact shows in the digest of the raw bytes only, which
   * the caller compares.
   *
   * @throws CodecError when the bytes encode no segment of that length
   */
  decode(encoded: Uint8Array, target: Uint8Array, base?: Uint8Array): Promise<void>;
  /**
   * SHA-256 of what would be decoded, of which nothing is given out.
   *
   * @throws CodecError as `decode` does
   */
  hashDecoded(encoded: Uint8Array, rawBytes: number, base?: Uint8Array): Promise<string>;
  /** Begins a file of so many bytes. */
  openFile(rawBytes: number, parts: FileParts): RunningFile;
  close(): Promise<void>;
}
