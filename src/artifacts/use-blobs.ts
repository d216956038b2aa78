import { type BlobRef, type SegmentRef } from './artifact';
import { type BlobDoc, type BlobStore } from './blob.store';
import { type UploadClaims } from './upload-claims.port';

/**
 * Comes to rely on blobs of others: announces it, then looks whether they are still there, and
 * gives those that are, by the digest of their raw bytes. A difference counts with its base only.
 */
export async function findClaimed(
  blobs: BlobStore,
  claims: UploadClaims,
  found: readonly Pick<BlobDoc, '_id' | 'metadata'>[],
): Promise<ReadonlyMap<string, SegmentRef>> {
  const ids = found.flatMap(({ _id, metadata: { base } }) => (base ? [_id, base] : [_id]));
  if (ids.length === 0) return new Map();
  await claims.use(ids);
  const usable = await blobs.findUsable(ids);
  const byId = new Map(usable.map((doc) => [doc._id.toHexString(), doc]));
  const segments = new Map<string, SegmentRef>();
  for (const { _id } of found) {
    const doc = byId.get(_id.toHexString());
    const segment = doc && toSegment(doc, byId);
    if (segment) segments.set(segment.sha256, segment);
  }
  return segments;
}

function toSegment(doc: BlobDoc, byId: ReadonlyMap<string, BlobDoc>): SegmentRef | undefined {
  if (!doc.metadata.base) return toBlobRef(doc);
  const base = byId.get(doc.metadata.base.toHexString());
  return base ? { ...toBlobRef(doc), base: toBlobRef(base) } : undefined;
}

function toBlobRef({ _id, length, metadata: { sha256, rawBytes } }: BlobDoc): BlobRef {
  return { blob: _id, sha256, rawBytes, storedBytes: length };
}
