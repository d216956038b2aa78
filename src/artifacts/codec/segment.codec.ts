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

/** A segment as it is stored. */
export interface EncodedSegment {
  /** What `SegmentCodec.encode` gave, in pieces that follow on each other. */
  readonly pieces: readonly Uint8Array[];
  readonly rawBytes: number;
  /** The same of the base, where there is one; it is as long, raw, and no difference itself. */
  readonly base?: readonly Uint8Array[];
}

/** What is wanted of segments that are decoded each for itself. */
export type DecodedParts = 'bytes' | 'digest' | 'both';

/** What was not wanted is empty. */
export interface DecodedSegment {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** SHA-256 of the raw bytes, lowercase hex. */
  readonly sha256: string;
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
   * Gives the raw bytes of each where parts are `segments`; else nothing. Takes the memory of the
   * pieces over.
   *
   * @throws StoredSegmentError as `SegmentCodec.decode` does; then nothing more comes of the file
   */
  decode(segments: readonly EncodedSegment[]): Promise<readonly Uint8Array<ArrayBuffer>[]>;
  end(): Promise<FileEnd>;
  /** Lets go of it, finished or not. */
  close(): void;
}

/**
 * Hashes, encodes and decodes segments of artifact files; the bytes are those of docs/blob-format.md.
 *
 * Views of any buffer may be passed, must stay unchanged until the promise settles, and are the
 * caller's again afterwards; where a call takes memory over, nobody else may need what is in the
 * same buffers. Views of a `SharedArrayBuffer` reach another thread without a copy, and so does
 * what is taken over. Every call is independent of all others.
 */
export interface SegmentCodec {
  /** SHA-256 of the bytes, lowercase hex. */
  hash(raw: Uint8Array): Promise<string>;
  /** Encodes; the result is at most one byte longer than `raw`. */
  encode(raw: Uint8Array, hint?: SegmentHint): Promise<Uint8Array>;
  /**
   * Decodes into `target`, whose length must be that of the raw bytes. Damage that leaves the
   * format intact shows in the digest of the raw bytes only, which the caller compares.
   *
   * @throws StoredSegmentError when the bytes encode no segment of that length
   */
  decode(segment: EncodedSegment, target: Uint8Array): Promise<void>;
  /**
   * Decodes segments each for itself, and takes the memory of the pieces over.
   *
   * @throws StoredSegmentError as `decode` does, for the first that is damaged
   */
  decodeEach(
    segments: readonly EncodedSegment[],
    wanted: DecodedParts,
  ): Promise<readonly DecodedSegment[]>;
  /** Begins a file of so many bytes. */
  openFile(rawBytes: number, parts: FileParts): RunningFile;
  close(): Promise<void>;
}
