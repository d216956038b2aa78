import { setTimeout as sleep } from 'node:timers/promises';

import { type ArtifactFile, blobRefOf, type SegmentRef, storedBytesOf } from './artifact';
import { ArtifactWriteError } from './artifact.errors';
import { type BlobStore, type UnsealedBlob, uploadOf } from './blob.store';
import { type UploadClaims } from './upload-claims.port';
import { findClaimed } from './use-blobs';

/** Each try loses only to somebody who was just faster, or whose blob is just going. */
const MAX_TRIES = 20;
const RETRY_MS = 50;

/**
 * Writes the files documents of an upload's blobs, each named after its first place in the version.
 *
 * Where somebody else made a blob of the same content meanwhile, the files come back with that
 * blob in the place of ours, whose chunk is removed.
 */
export async function sealFiles(
  blobs: BlobStore,
  files: readonly ArtifactFile[],
  claims: UploadClaims,
  nameOf: (path: string) => string,
): Promise<readonly ArtifactFile[]> {
  let unsealed = ownBlobs(files, claims, nameOf);
  const adopted = new Map<string, SegmentRef>();
  for (let tries = 0; unsealed.length > 0; tries++) {
    if (tries === MAX_TRIES) {
      throw new ArtifactWriteError('Blobs of the same content come and go; upload again', {
        retryAfterSeconds: 1,
      });
    }
    unsealed = await blobs.seal(unsealed);
    if (unsealed.length === 0) break;
    const winners = await blobs.findByDigests(unsealed.map(({ sha256 }) => sha256));
    const usable = await findClaimed(blobs, claims, winners);
    const losers: UnsealedBlob[] = [];
    for (const blob of unsealed) {
      const winner = usable.get(blob.sha256);
      if (winner) adopted.set(blob.blob.toHexString(), winner);
      if (winner) losers.push(blob);
    }
    await blobs.removeChunks(losers.map(({ blob }) => blob));
    unsealed = unsealed.filter((blob) => !losers.includes(blob));
    if (unsealed.length > 0) await sleep(RETRY_MS);
  }
  return adopted.size === 0 ? files : files.map((file) => withAdopted(file, adopted));
}

function ownBlobs(
  files: readonly ArtifactFile[],
  { uploadId }: UploadClaims,
  nameOf: (path: string) => string,
): UnsealedBlob[] {
  const own = new Map<string, UnsealedBlob>();
  for (const { path, ref } of files) {
    let offset = 0;
    for (const segment of ref.segments) {
      const { base } = segment;
      const id = segment.blob.toHexString();
      if (uploadOf(segment.blob).equals(uploadId) && !own.has(id)) {
        const filename = `${nameOf(path)}@${offset}`;
        own.set(id, { ...blobRefOf(segment), filename, ...(base ? { base: base.blob } : {}) });
      }
      offset += segment.rawBytes;
    }
  }
  return [...own.values()];
}

function withAdopted(
  { ref, ...file }: ArtifactFile,
  adopted: ReadonlyMap<string, SegmentRef>,
): ArtifactFile {
  const segments = ref.segments.map((segment) => {
    const winner = adopted.get(segment.blob.toHexString());
    if (!winner) return segment;
    return { ...winner, ...(segment.key === undefined ? {} : { key: segment.key }) };
  });
  return { ...file, ref: { ...ref, segments, storedBytes: storedBytesOf(segments) } };
}
