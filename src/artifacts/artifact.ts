import { type ObjectId } from 'mongodb';

/** Raw bytes of the largest segment; a segment, encoded, is one blob and one chunk. */
export const SEGMENT_BYTES = 4 * 1024 * 1024;

/** What it takes to fetch a blob and to know that it is the right one. */
export interface BlobRef {
  /** Id of the GridFS file. */
  readonly blob: ObjectId;
  /** SHA-256 of the raw bytes, lowercase hex. */
  readonly sha256: string;
  readonly rawBytes: number;
  readonly storedBytes: number;
}

/** A stretch of a file, and the blob that holds its bytes. */
export interface SegmentRef extends BlobRef {
  /** The blob whose raw bytes this one was taken the difference to; itself never a difference. */
  readonly base?: BlobRef;
  /** What a later version finds the same stretch by: tensor, offset and type. Left out where the path and the offset say it. */
  readonly key?: string;
}

/**
 * What a version document remembers about the bytes of one file: segments that, decoded and laid
 * end to end, are the file.
 *
 * Equal segments, of one version or of many, are one blob. `storedBytes` counts each distinct
 * blob of the file once, and not the bases of differences.
 */
export interface ArtifactRef {
  /** SHA-256 of the whole file, lowercase hex; it is what the version's digest covers. */
  readonly sha256: string;
  readonly rawBytes: number;
  readonly storedBytes: number;
  readonly segments: readonly SegmentRef[];
}

/** One file of a version: the path it was uploaded under, and where its bytes are. */
export interface ArtifactFile {
  readonly path: string;
  readonly contentType: string;
  readonly ref: ArtifactRef;
}

/** Only what it takes to fetch the blob of a segment. */
export function blobRefOf({ blob, sha256, rawBytes, storedBytes }: BlobRef): BlobRef {
  return { blob, sha256, rawBytes, storedBytes };
}

/** Stored bytes of the distinct blobs that segments name. */
export function storedBytesOf(segments: Iterable<BlobRef>): number {
  const bytes = new Map<string, number>();
  for (const { blob, storedBytes } of segments) bytes.set(blob.toHexString(), storedBytes);
  return [...bytes.values()].reduce((sum, each) => sum + each, 0);
}

/** Every blob that it takes to read the files, bases included, each once. */
export function blobsOf(files: readonly Pick<ArtifactFile, 'ref'>[]): ObjectId[] {
  const ids = new Map<string, ObjectId>();
  for (const { ref } of files) {
    for (const { blob, base } of ref.segments) {
      ids.set(blob.toHexString(), blob);
      if (base) ids.set(base.blob.toHexString(), base.blob);
    }
  }
  return [...ids.values()];
}
