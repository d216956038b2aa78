import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';

import { type Collection, type Db, type Filter, MongoBulkWriteError, ObjectId } from 'mongodb';

import { duplicateKeyIndex } from '../mongo/mongo-failure';
import { type BlobRef, SEGMENT_BYTES } from './artifact';
import { ArtifactCorruptError, ArtifactWriteError } from './artifact.errors';
import { BLOB_CLAIM_INDEX } from './bucket-schema';
import { BucketStore, bytesOf, type ChunkDoc, type FileDoc } from './bucket.store';

/** How the bytes of a blob are encoded; docs and readers go by this name. */
export const BLOB_CODEC = 'gridstow-blocks-1';

/** The largest segment, and what an encoding may add to it. */
export const MAX_BLOB_BYTES = SEGMENT_BYTES + 64 * 1024;

/**
 * Bytes of one GridFS chunk: the server takes chunks of this size half again as fast as larger or
 * smaller ones. A little over a power of two, so that what does not shrink fits four of them.
 */
const CHUNK_BYTES = 1024 * 1024 + 1024;

/** Bytes that one insert carries at most, so that several can be on their way side by side. */
const INSERT_BYTES = 2 * CHUNK_BYTES;

/** What Gridstow keeps about a blob in its files document. */
interface BlobMetadata {
  /** Of the raw bytes. */
  readonly sha256: string;
  /**
   * Equal to `sha256` while others may come to use the blob; unique, so equal content is one
   * blob. A blob that is about to go, or is damaged, has none.
   */
  readonly claim?: string;
  readonly rawBytes: number;
  readonly codec: string;
  readonly base: ObjectId | null;
  /** Set by whoever wants to free the blob, before looking for references to it. */
  readonly doomedAt?: Date;
  readonly doomedBy?: string;
  readonly damagedAt?: Date;
}

/**
 * Collection `artifacts.files`. The name is where the first version that stored it has these bytes,
 * e.g. `digits/3/model.json@0`.
 */
export type BlobDoc = FileDoc<BlobMetadata>;

/** Encoded bytes with the id that they are to be stored under. */
export interface EncodedBlob {
  readonly blob: ObjectId;
  readonly encoded: Uint8Array;
}

/** Encoded bytes of blobs by hex id, in pieces that follow on each other. */
export type EncodedBlobs = ReadonlyMap<string, readonly Uint8Array[]>;

/** A blob whose chunk is written, and what its files document will say. */
export interface UnsealedBlob extends BlobRef {
  readonly filename: string;
  readonly base?: ObjectId;
}

/** What was freed, or would be. */
export interface FreedBytes {
  readonly blobs: number;
  readonly storedBytes: number;
}

/**
 * An id for an upload, from which the ids of its blobs are made: its first nine bytes with a
 * counter behind them. So the upload's one intent covers all that it will ever write.
 */
export function mintUploadId(): ObjectId {
  const seconds = Math.floor(Date.now() / 1000)
    .toString(16)
    .padStart(8, '0');
  // Not the driver's random part, which is one for all uploads of a process.
  return ObjectId.createFromHexString(`${seconds}${randomBytes(5).toString('hex')}000000`);
}

export function blobIdAt(uploadId: ObjectId, counter: number): ObjectId {
  return ObjectId.createFromHexString(prefixOf(uploadId) + counter.toString(16).padStart(6, '0'));
}

export function uploadOf(blob: ObjectId): ObjectId {
  return ObjectId.createFromHexString(`${prefixOf(blob)}000000`);
}

function prefixOf(id: ObjectId): string {
  return id.toHexString().slice(0, 18);
}

function idsOfUpload(uploadId: ObjectId): { readonly $gte: ObjectId; readonly $lte: ObjectId } {
  return { $gte: uploadOf(uploadId), $lte: blobIdAt(uploadId, 0xffffff) };
}

/**
 * Blobs in GridFS: a files document and a few chunks each, content-addressed by what they decode to.
 *
 * The encoded bytes are files of a bucket. Chunks are written first; the files document makes them a blob that
 * others may find and use.
 */
export class BlobStore {
  private readonly bucket: BucketStore<BlobMetadata>;
  private readonly files: Collection<BlobDoc>;
  private readonly chunks: Collection<ChunkDoc>;

  constructor(db: Db, bucket = 'artifacts') {
    this.bucket = new BucketStore(db, bucket, CHUNK_BYTES);
    ({ files: this.files, chunks: this.chunks } = this.bucket);
  }

  /** Writes the chunks of blobs that nobody can find yet. When it fails nothing is under way any more. */
  async writeChunks(blobs: readonly EncodedBlob[]): Promise<void> {
    const inserts: Promise<void>[] = [];
    for (const group of inGroups(
      blobs.flatMap((blob) => [...this.bucket.cut(blob.blob, blob.encoded)]),
    )) {
      inserts.push(this.insertChunks(group));
      // Each insert copies megabytes at once: others get their turn in between.
      await setImmediate();
    }
    const written = await Promise.allSettled(inserts);
    const failed = written.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /**
   * Makes written chunks blobs.
   *
   * @returns those whose content somebody else has made a blob of meanwhile; they stay chunks
   */
  async seal(blobs: readonly UnsealedBlob[]): Promise<UnsealedBlob[]> {
    if (blobs.length === 0) return [];
    try {
      await this.files.insertMany(
        blobs.map((blob) => this.toBlobDoc(blob)),
        { ordered: false },
      );
      return [];
    } catch (error) {
      if (!(error instanceof MongoBulkWriteError)) throw error;
      const failures = [error.writeErrors].flat();
      const taken = failures.filter(({ errmsg }) => errmsg?.includes(BLOB_CLAIM_INDEX) === true);
      // What was acknowledged to nobody and is tried again is there already: under our own id.
      const own = failures.filter(({ errmsg }) => errmsg?.includes('index: _id_') === true);
      if (taken.length + own.length < failures.length || failures.length === 0) throw error;
      return taken.flatMap(({ index }) => blobs[index] ?? []);
    }
  }

  /** The blobs, at most one for each, whose raw bytes have these digests. */
  async findByDigests(digests: readonly string[]): Promise<BlobDoc[]> {
    if (digests.length === 0) return [];
    return await this.files.find({ 'metadata.claim': { $in: [...digests] } }).toArray();
  }

  /**
   * The blobs that can be relied upon by whoever has announced so before asking: neither about
   * to be freed nor damaged, as far as anybody knows.
   */
  async findUsable(ids: readonly ObjectId[]): Promise<BlobDoc[]> {
    if (ids.length === 0) return [];
    const filter = {
      _id: { $in: [...ids] },
      'metadata.doomedAt': { $exists: false },
      'metadata.damagedAt': { $exists: false },
    };
    const docs = await this.files.find(filter).toArray();
    const chunks = await this.countChunks(docs.map(({ _id }) => _id));
    const present = new Set(
      docs
        .filter(
          ({ _id, length, chunkSize }) =>
            chunks.get(_id.toHexString()) === Math.ceil(length / chunkSize),
        )
        .map(({ _id }) => _id.toHexString()),
    );
    const hollow = docs.filter(({ _id }) => !present.has(_id.toHexString()));
    if (hollow.length > 0) await this.markDamaged(hollow.map(({ _id }) => _id));
    return docs.filter(({ _id }) => present.has(_id.toHexString()));
  }

  /**
   * Fetches the encoded bytes of blobs with one query, as views of the database's replies: nobody
   * else has them, so they can change hands.
   *
   * @throws ArtifactCorruptError when chunks are missing, doubled, or of another size
   */
  async fetch(refs: readonly BlobRef[]): Promise<EncodedBlobs> {
    const blobs = new Map(refs.map((ref) => [ref.blob.toHexString(), ref]));
    const parts = new Map<string, Uint8Array[]>();
    const cursor = this.chunks
      .find(
        { files_id: { $in: [...blobs.values()].map(({ blob }) => blob) } },
        { projection: { _id: 0, files_id: 1, n: 1, data: 1 }, sort: { files_id: 1, n: 1 } },
      )
      // The default first batch would hold back at 101 documents; the server caps a reply at 16 MiB.
      .batchSize(1000);
    for await (const chunk of cursor) {
      const id = chunk.files_id.toHexString();
      const known = parts.get(id) ?? [];
      const bytes = bytesOf(chunk);
      if (chunk.n !== known.length || !bytes) throw broken(id);
      known.push(bytes);
      parts.set(id, known);
    }
    for (const [id, { storedBytes }] of blobs) {
      const found = (parts.get(id) ?? []).reduce((sum, { length }) => sum + length, 0);
      if (found !== storedBytes) throw broken(id);
    }
    return parts;
  }

  /** Blobs in the order of their ids, from behind `after`. */
  async list(limit: number, after?: ObjectId): Promise<BlobDoc[]> {
    const filter: Filter<BlobDoc> = after ? { _id: { $gt: after } } : {};
    return await this.files.find(filter).sort({ _id: 1 }).limit(limit).toArray();
  }

  /** Owners of chunks in the order of their ids, each once, from behind `after`; reads the index only. */
  async listChunkOwners(limit: number, after?: ObjectId): Promise<ObjectId[]> {
    const owners = new Map<string, ObjectId>();
    const cursor = this.chunks
      .find(after ? { files_id: { $gt: after } } : {}, {
        projection: { _id: 0, files_id: 1, n: 1 },
        sort: { files_id: 1, n: 1 },
      })
      .hint({ files_id: 1, n: 1 });
    for await (const { files_id } of cursor) {
      owners.set(files_id.toHexString(), files_id);
      if (owners.size >= limit) break;
    }
    return [...owners.values()];
  }

  /** Bytes of the chunks under these ids, whether they ever became blobs or not. */
  async chunkBytes(ids: readonly ObjectId[]): Promise<number> {
    if (ids.length === 0) return 0;
    const [sum] = await this.chunks
      .aggregate<{ bytes: number }>([
        { $match: { files_id: { $in: [...ids] } } },
        { $group: { _id: null, bytes: { $sum: { $binarySize: '$data' } } } },
      ])
      .toArray();
    return sum?.bytes ?? 0;
  }

  async findByIds(ids: readonly ObjectId[]): Promise<BlobDoc[]> {
    return await this.files.find({ _id: { $in: [...ids] } }).toArray();
  }

  async idsOfUpload(uploadId: ObjectId): Promise<ObjectId[]> {
    const docs = await this.files
      .find({ _id: idsOfUpload(uploadId) }, { projection: { _id: 1 } })
      .toArray();
    return docs.map(({ _id }) => _id);
  }

  /** Removes what an upload has written, but for `kept`, without asking: only for chunks that are no blobs. */
  async removeChunksOfUpload(uploadId: ObjectId, kept: readonly ObjectId[]): Promise<void> {
    await this.chunks.deleteMany({
      $and: [{ files_id: idsOfUpload(uploadId) }, { files_id: { $nin: [...kept] } }],
    });
  }

  async removeChunks(ids: readonly ObjectId[]): Promise<void> {
    await this.bucket.removeChunks(ids);
  }

  /** Keeps blobs from being found: equal content is stored anew. */
  async markDamaged(ids: readonly ObjectId[]): Promise<void> {
    await this.files.updateMany(
      { _id: { $in: [...ids] } },
      { $unset: { 'metadata.claim': '' }, $currentDate: { 'metadata.damagedAt': true } },
    );
  }

  /** Announces that blobs are to go. Whoever looks at one from now on does not come to rely on it. */
  async doom(ids: readonly ObjectId[], by: string): Promise<void> {
    await this.files.updateMany(
      { _id: { $in: [...ids] } },
      {
        $set: { 'metadata.doomedBy': by },
        $currentDate: { 'metadata.doomedAt': true },
        $unset: { 'metadata.claim': '' },
      },
    );
  }

  /** Takes `doom` back, unless somebody else has announced the same meanwhile. */
  async spare(ids: readonly ObjectId[], by: string): Promise<void> {
    if (ids.length === 0) return;
    const filter = { _id: { $in: [...ids] }, 'metadata.doomedBy': by };
    const spared = await this.files.find(filter, { projection: { _id: 1 } }).toArray();
    if (spared.length === 0) return;
    await this.files.updateMany(filter, {
      $unset: { 'metadata.doomedAt': '', 'metadata.doomedBy': '' },
    });
    try {
      await this.files.bulkWrite(
        spared.map(({ _id }) => ({
          updateOne: {
            filter: {
              _id,
              'metadata.doomedAt': { $exists: false },
              'metadata.damagedAt': { $exists: false },
            },
            update: [{ $set: { 'metadata.claim': '$metadata.sha256' } }],
          },
        })),
        { ordered: false },
      );
    } catch (error) {
      // Equal content was stored meanwhile: that one is found from now on, ours still serves its own.
      if (duplicateKeyIndex(error) === undefined) throw error;
    }
  }

  /** Blobs outside of `ids` that are differences to blobs in `ids`, by the id of their base. */
  async listBasesOfOthers(ids: readonly ObjectId[]): Promise<ObjectId[]> {
    if (ids.length === 0) return [];
    const docs = await this.files
      .find(
        { 'metadata.base': { $in: [...ids] }, _id: { $nin: [...ids] } },
        { projection: { 'metadata.base': 1 } },
      )
      .toArray();
    return docs.flatMap(({ metadata }) => metadata.base ?? []);
  }

  /**
   * Removes blobs that are doomed by nobody else, files documents first, so that no reader finds
   * half; also chunks under these ids that never became blobs, or were left by a removal that was
   * cut off.
   */
  async removeDoomed(ids: readonly ObjectId[], by: string): Promise<FreedBytes> {
    if (ids.length === 0) return { blobs: 0, storedBytes: 0 };
    const among = { _id: { $in: [...ids] } };
    const going = await this.files
      .find({ ...among, 'metadata.doomedBy': by }, { projection: { length: 1 } })
      .toArray();
    await this.files.deleteMany({ ...among, 'metadata.doomedBy': by });
    const left = await this.files.find(among, { projection: { _id: 1 } }).toArray();
    const kept = new Set(left.map(({ _id }) => _id.toHexString()));
    await this.removeChunks(ids.filter((id) => !kept.has(id.toHexString())));
    const freed = going.filter(({ _id }) => !kept.has(_id.toHexString()));
    return {
      blobs: freed.length,
      storedBytes: freed.reduce((sum, { length }) => sum + length, 0),
    };
  }

  /** How many chunks stand under each id; reads the index only. */
  private async countChunks(ids: readonly ObjectId[]): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    const cursor = this.chunks.find(
      { files_id: { $in: [...ids] } },
      { projection: { _id: 0, files_id: 1, n: 1 } },
    );
    for await (const { files_id } of cursor) {
      const id = files_id.toHexString();
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    return counts;
  }

  private toBlobDoc(blob: UnsealedBlob): BlobDoc {
    const { blob: _id, sha256, rawBytes, storedBytes, filename, base = null } = blob;
    return this.bucket.describe({
      _id,
      length: storedBytes,
      filename,
      metadata: { sha256, claim: sha256, rawBytes, codec: BLOB_CODEC, base },
    });
  }

  private async insertChunks(group: readonly ChunkDoc[]): Promise<void> {
    // The majority write that publishes a version stands behind these in the same oplog, and the
    // bytes are read back with majority read concern before it.
    try {
      await this.chunks.insertMany(group, { ordered: false, writeConcern: { w: 1 } });
    } catch (cause) {
      throw new ArtifactWriteError('The database did not take a chunk', {}, { cause });
    }
  }
}

function broken(blob: string): ArtifactCorruptError {
  return new ArtifactCorruptError('Chunks of a blob are missing, doubled or resized', { blob });
}

function inGroups(chunks: readonly ChunkDoc[]): ChunkDoc[][] {
  const groups: ChunkDoc[][] = [];
  let bytes = Infinity;
  for (const chunk of chunks) {
    const size = chunk.data.length();
    if (bytes + size > INSERT_BYTES) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(chunk);
    bytes += size;
  }
  return groups;
}
