import { createHash } from 'node:crypto';

import { Inject, Injectable } from '@nestjs/common';
import { type Collection, type Db, type Document, type Filter, ObjectId } from 'mongodb';

import { ArtifactCorruptError } from '../../artifacts/artifact.errors';
import { type FileDoc } from '../../artifacts/bucket.store';
import { declareBucket } from '../../artifacts/bucket-schema';
import { ChunkStore } from '../../artifacts/chunk.store';
import { DATABASE } from '../../mongo/mongo.tokens';
import { Schema } from '../../mongo/schema';

const BUCKET = 'staged';

const HOUR_MS = 3_600_000;

/** How long a file waits to be registered. */
export const STAGED_FOR_MS = 7 * 24 * HOUR_MS;

/** No registration takes nearly as long. */
const HELD_FOR_MS = 2 * HOUR_MS;

/** Requests end after an hour, so chunks that are older and of no file belong to nobody. */
const LOOSE_FOR_MS = 24 * HOUR_MS;

/** Files that are removed together. */
const PAGE = 500;

interface StagedMetadata extends Document {
  readonly sha256: string;
  /** A file that was replaced or deleted: nobody finds it, and whoever reads it can finish. */
  readonly unlinkedAt?: Date;
  /** Somebody registers it until then, by the server's clock. */
  readonly heldUntil?: Date;
}
type StagedDoc = FileDoc<StagedMetadata>;

/** A file that was uploaded and belongs to no version. */
export interface StagedFile {
  readonly id: ObjectId;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

const LINKED = { 'metadata.unlinkedAt': { $exists: false } } as const;

/** By the server's clock; what never was held has nothing that compares. */
const UNHELD = { $not: [{ $gt: ['$metadata.heldUntil', '$$NOW'] }] };

/**
 * Files on their way to become versions, in a GridFS bucket of their own.
 *
 * A file can be found once all of it is stored, and takes the place of the one before under its
 * path. Registering holds what it reads: files that are replaced, deleted or too old meanwhile are
 * out of sight at once and keep their bytes until the hold is over.
 */
@Injectable()
export class StagedArtifactsStore {
  private readonly files: Collection<StagedDoc>;
  private readonly chunks: Collection;
  private readonly store: ChunkStore;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.files = db.collection(`${BUCKET}.files`);
    this.chunks = db.collection(`${BUCKET}.chunks`);
    this.store = new ChunkStore(db, BUCKET);
    declareBucket(schema, BUCKET, [
      {
        name: 'uploaded',
        key: { uploadDate: 1 },
        reason: 'files that waited too long',
      },
      {
        name: 'unlinked',
        key: { 'metadata.unlinkedAt': 1 },
        partialFilterExpression: { 'metadata.unlinkedAt': { $exists: true } },
        reason: 'files that were replaced or deleted and may be held still',
      },
    ]);
  }

  /** Takes a file in. Fails with the failure of the body; nothing can be found of it then. */
  async put(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const id = new ObjectId();
    const digest = createHash('sha256');
    try {
      const length = await this.store.write(id, hashed(body, digest));
      // Those that stand by now: of two that come at once neither takes the other away.
      const before = await this.files.find({ filename: path, ...LINKED }).toArray();
      await this.store.sealFile(id, path, length, { sha256: digest.digest('hex') });
      await this.unlink({ _id: { $in: before.map(({ _id }) => _id) } });
    } catch (error) {
      // Tidying up must not hide what went wrong; what it leaves is loose, and goes in time.
      await this.store.remove([id]).catch(() => undefined);
      throw error;
    }
  }

  async find(path: string): Promise<StagedFile | null> {
    const doc = await this.files.findOne({ filename: path, ...LINKED }, { sort: { _id: -1 } });
    return doc ? toStaged(doc) : null;
  }

  /** What lies below a folder (empty: everything), each path once. */
  async list(folder: string): Promise<StagedFile[]> {
    const docs = await this.files
      .find({ ...below(folder), ...LINKED })
      .sort({ filename: 1, _id: 1 })
      .toArray();
    return [...new Map(docs.map((doc) => [doc.filename, toStaged(doc)])).values()];
  }

  /** Keeps a file, or all below a folder, for a registration. @returns what is held */
  async hold(path: string): Promise<StagedFile[]> {
    for (;;) {
      const folder = await this.list(path);
      const file = folder.length > 0 ? null : await this.find(path);
      const found = file ? [file] : folder;
      const { matchedCount } = await this.files.updateMany(
        { _id: { $in: found.map(({ id }) => id) }, ...LINKED },
        [{ $set: { 'metadata.heldUntil': { $add: ['$$NOW', HELD_FOR_MS] } } }],
      );
      // One that was replaced in between has another in its place: look again.
      if (matchedCount === found.length) return found;
    }
  }

  /** The bytes of a file; they end only after they were compared with its digest. */
  async *open({ id, path, bytes, sha256 }: StagedFile): AsyncGenerator<Uint8Array> {
    const digest = createHash('sha256');
    let held: Uint8Array | undefined;
    for await (const piece of this.store.readBytes(id, bytes)) {
      digest.update(piece);
      if (held) yield held;
      held = piece;
    }
    if (digest.digest('hex') !== sha256) {
      throw new ArtifactCorruptError('A staged file differs from its digest', { path });
    }
    if (held) yield held;
  }

  /** Deletes a file, or a folder with all in it. @returns whether there was anything */
  async delete(path: string): Promise<boolean> {
    return await this.unlink({ $or: [below(path), { filename: path }] });
  }

  /** Removes what waited too long, what nobody finds and nobody reads, and what never became a file. */
  async sweep(signal?: AbortSignal): Promise<number> {
    const old = { $lt: ['$uploadDate', { $subtract: ['$$NOW', STAGED_FOR_MS] }] };
    await this.files.updateMany({ ...LINKED, $expr: { $and: [old, UNHELD] } }, [
      { $set: { 'metadata.unlinkedAt': '$$NOW' } },
    ]);
    const removed = await this.removeUnlinked(signal);
    await this.removeLooseChunks(signal);
    return removed;
  }

  private async unlink(filter: Filter<StagedDoc>): Promise<boolean> {
    const { modifiedCount } = await this.files.updateMany({ $and: [filter, LINKED] }, [
      { $set: { 'metadata.unlinkedAt': '$$NOW' } },
    ]);
    if (modifiedCount > 0) await this.removeUnlinked();
    return modifiedCount > 0;
  }

  private async removeUnlinked(signal?: AbortSignal): Promise<number> {
    const unread = { 'metadata.unlinkedAt': { $exists: true }, $expr: UNHELD };
    let removed = 0;
    while (!signal?.aborted) {
      const docs = await this.files.find(unread).project({ _id: 1 }).limit(PAGE).toArray();
      if (docs.length === 0) break;
      // Nobody can hold them any more: a hold passes by what is unlinked.
      await this.store.remove(docs.map(({ _id }) => _id as ObjectId));
      removed += docs.length;
    }
    return removed;
  }

  private async removeLooseChunks(signal?: AbortSignal): Promise<void> {
    const before = ObjectId.createFromTime(Math.floor((Date.now() - LOOSE_FOR_MS) / 1000));
    const loose = this.chunks.aggregate<{ _id: ObjectId }>([
      { $match: { files_id: { $lt: before } } },
      { $group: { _id: '$files_id' } },
      { $lookup: { from: `${BUCKET}.files`, localField: '_id', foreignField: '_id', as: 'file' } },
      { $match: { file: { $size: 0 } } },
      { $project: { _id: 1 } },
    ]);
    for await (const { _id } of loose) {
      if (signal?.aborted) return;
      await this.store.remove([_id]);
    }
  }
}

/** Paths below a folder: a slash comes right before the digit that ends the range. */
function below(folder: string): Filter<StagedDoc> {
  return folder === '' ? {} : { filename: { $gte: `${folder}/`, $lt: `${folder}0` } };
}

function toStaged({ _id, filename, length, metadata }: StagedDoc): StagedFile {
  return { id: _id, path: filename, bytes: length, sha256: metadata.sha256 };
}

async function* hashed(
  body: AsyncIterable<Uint8Array>,
  digest: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    digest.update(piece);
    yield piece;
  }
}
