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
  const baseless: BlobDoc[] = [];
  for (const { _id } of found) {
    const doc = byId.get(_id.toHexString());
    const segment = doc && toSegment(doc, byId);
    if (segment) segments.set(segment.sha256, segment);
    else if (doc) baseless.push(doc);
  }
  await retireBaseless(blobs, baseless);
  return segments;
}

/** Differences whose base is damaged are as good as damaged themselves; one that is only about to go may stay. */
async function retireBaseless(blobs: BlobStore, differences: readonly BlobDoc[]): Promise<void> {
  if (differences.length === 0) return;
  const bases = await blobs.findByIds(differences.flatMap(({ metadata }) => metadata.base ?? []));
  const sound = new Set(
    bases
      .filter(({ metadata }) => metadata.damagedAt === undefined)
      .map(({ _id }) => _id.toHexString()),
  );
  const lost = differences.filter(
    ({ metadata: { base } }) => base !== null && !sound.has(base.toHexString()),
  );
  if (lost.length > 0) await blobs.markDamaged(lost.map(({ _id }) => _id));
}

function toSegment(doc: BlobDoc, byId: ReadonlyMap<string, BlobDoc>): SegmentRef | undefined {
  if (!doc.metadata.base) return toBlobRef(doc);
  const base = byId.get(doc.metadata.base.toHexString());
  return base ? { ...toBlobRef(doc), base: toBlobRef(base) } : undefined;
}

function toBlobRef({ _id, length, metadata: { sha256, rawBytes } }: BlobDoc): BlobRef {
  return { blob: _id, sha256, rawBytes, storedBytes: length };
}
