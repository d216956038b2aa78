import { Binary, type Collection, type Db, type Document, type ObjectId } from 'mongodb';

import { ArtifactCorruptError } from './artifact.errors';

/**
 * Bytes of one GridFS chunk. A little under a power of two, so that a chunk with its document
 * still fits the allocation of one.
 */
export const CHUNK_BYTES = 1024 * 1024 - 1024;

interface ChunkDoc extends Document {
  readonly files_id: ObjectId;
  readonly n: number;
  readonly data: Binary;
}

interface FileDoc extends Document {
  readonly _id: ObjectId;
  readonly length: number;
  readonly chunkSize: number;
  readonly uploadDate: Date;
  readonly filename: string;
  readonly metadata: Document;
}

/**
 * One GridFS bucket, at the level of chunks.
 *
 * Laid out so that every GridFS client can read it, yet written and read here: the driver's
 * streams copy each byte twice, send one chunk at a time, and end normally when the last chunks
 * of a file are missing.
 */
export class ChunkStore {
  private readonly files: Collection<FileDoc>;
  private readonly chunks: Collection<ChunkDoc>;

  constructor(
    db: Db,
    readonly bucket: string,
  ) {
    this.files = db.collection(`${bucket}.files`);
    this.chunks = db.collection(`${bucket}.chunks`);
  }

  /** Writes the files document: from here on GridFS clients see the file. */
  async sealFile(
    fileId: ObjectId,
    filename: string,
    length: number,
    metadata: Document,
  ): Promise<void> {
    await this.files.insertOne({
      _id: fileId,
      length,
      chunkSize: CHUNK_BYTES,
      uploadDate: new Date(),
      filename,
      metadata,
    });
  }

  /**
   * Yields `length` bytes from `start`, as views of the database's replies.
   *
   * @throws ArtifactCorruptError when a chunk is missing, doubled, or of another size
   */
  async *readBytes(
    fileId: ObjectId,
    storedBytes: number,
    start = 0,
    length = storedBytes,
  ): AsyncGenerator<Uint8Array> {
    if (length === 0) return;
    const first = Math.floor(start / CHUNK_BYTES);
    const last = Math.floor((start + length - 1) / CHUNK_BYTES);
    const cursor = this.chunks
      .find(
        { files_id: { $eq: fileId }, n: { $gte: first, $lte: last } },
        { projection: { _id: 0, n: 1, data: 1 }, sort: { n: 1 } },
      )
      // The default first batch would hold back at 101 documents; the server caps a reply at 16 MiB.
      .batchSize(1000);
    let expected = first;
    try {
      for await (const { n, data } of cursor) {
        const size = Math.min(CHUNK_BYTES, storedBytes - expected * CHUNK_BYTES);
        const bytes = data instanceof Binary ? data.buffer.subarray(0, data.position) : undefined;
        if (n !== expected || bytes?.length !== size) {
          throw new ArtifactCorruptError(
            'A chunk of a stored file is missing, doubled or resized',
            {
              fileId: fileId.toHexString(),
              chunk: expected,
            },
          );
        }
        const offset = expected * CHUNK_BYTES;
        yield bytes.subarray(Math.max(0, start - offset), Math.min(size, start + length - offset));
        expected++;
      }
    } finally {
      await cursor.close();
    }
    if (expected !== last + 1) {
      throw new ArtifactCorruptError('The last chunks of a stored file are missing', {
        fileId: fileId.toHexString(),
        chunk: expected,
      });
    }
  }

  /** Removes files with their chunks; repeating it is harmless. Files documents go first, so that no reader finds half. */
  async remove(fileIds: readonly ObjectId[]): Promise<void> {
    if (fileIds.length === 0) return;
    await this.files.deleteMany({ _id: { $in: [...fileIds] } });
    await this.chunks.deleteMany({ files_id: { $in: [...fileIds] } });
  }
}
