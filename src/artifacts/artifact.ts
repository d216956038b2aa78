import { type ObjectId } from 'mongodb';

/** How the bytes of a stored artifact file are encoded; see codec/. */
export const CODECS = ['raw', 'zstd'] as const;
export type Codec = (typeof CODECS)[number];

/**
 * What a version document remembers about the stored bytes of one file.
 *
 * The bytes stand in GridFS under `fileId` as independent blocks of `blockBytes` raw bytes each
 * (the last may be shorter), encoded one by one and laid end to end; `blockLengths` are their
 * encoded lengths. So any range can be read without what comes before it, and for `zstd` the
 * whole is still a plain zstd stream that every zstd tool can unpack.
 */
export interface ArtifactRef {
  readonly fileId: ObjectId;
  readonly codec: Codec;
  /** SHA-256 of the raw bytes, lowercase hex. */
  readonly sha256: string;
  readonly rawBytes: number;
  /** SHA-256 of the encoded bytes as they stand in GridFS, lowercase hex. */
  readonly storedSha256: string;
  readonly storedBytes: number;
  readonly blockBytes: number;
  readonly blockLengths: readonly number[];
}

/** One file of a version: the path it was uploaded under, and where its bytes are. */
export interface ArtifactFile {
  readonly path: string;
  readonly contentType: string;
  readonly ref: ArtifactRef;
}
