import { Binary, type Db, type Document, ObjectId } from 'mongodb';

import { ArtifactCorruptError } from './artifact.errors';
import { BucketStore, bytesOf, type ChunkDoc } from './bucket.store';

/**
 * Bytes of one GridFS chunk. A little under a power of two, so that a chunk with its document
 * still fits the allocation of one.
 */
const CHUNK_BYTES = 1024 * 1024 - 1024;

/** Chunks of one file being written at once: enough to hide the round trips. */
const CHUNKS_UNDER_WAY = 3;

/** Files of one GridFS bucket that are written chunk by chunk, and read whole or in part. */
export class ChunkStore {
  private readonly bucket: BucketStore<Document>;

  constructor(db: Db, bucket: string) {
    this.bucket = new BucketStore(db, bucket, CHUNK_BYTES);
  }

  /** The chunks of a file in order; whoever writes them decides how. */
  cut(fileId: ObjectId, bytes: Uint8Array): Iterable<ChunkDoc> {
    return this.bucket.cut(fileId, bytes);
  }

  /**
   * Writes the chunks of a file as its bytes come in; a majority has them when this returns. What a
   * failure leaves belongs to the caller.
   *
   * @returns how many bytes came
   */
  async write(fileId: ObjectId, body: AsyncIterable<Uint8Array>): Promise<number> {
    const writes: Promise<unknown>[] = [];
    let length = 0;
    try {
      for await (const data of inChunks(body)) {
        const n = writes.length;
        await writes[n - CHUNKS_UNDER_WAY];
        const chunk = { _id: new ObjectId(), files_id: fileId, n, data: new Binary(data) };
        const write = this.bucket.chunks.insertOne(chunk);
        // Looked at below; one that fails before its turn must not end the process.
        write.catch(() => undefined);
        writes.push(write);
        length += data.length;
      }
      await Promise.all(writes);
      return length;
    } catch (cause) {
      // None may be on its way any more when whoever waits is told.
      await Promise.allSettled(writes);
      throw cause;
    }
  }

  /** Writes the files document: from here on GridFS clients see the file. */
  async sealFile(
    fileId: ObjectId,
    filename: string,
    length: number,
    metadata: Document,
  ): Promise<void> {
    const file = this.bucket.describe({ _id: fileId, length, filename, metadata });
    await this.bucket.files.insertOne(file);
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
    const cursor = this.bucket.chunks
      .find(
        { files_id: { $eq: fileId }, n: { $gte: first, $lte: last } },
        { projection: { _id: 0, n: 1, data: 1 }, sort: { n: 1 } },
      )
      // The default first batch would hold back at 101 documents; the server caps a reply at 16 MiB.
      .batchSize(1000);
    let expected = first;
    try {
      for await (const chunk of cursor) {
        const size = Math.min(CHUNK_BYTES, storedBytes - expected * CHUNK_BYTES);
        const bytes = bytesOf(chunk);
        if (chunk.n !== expected || bytes?.length !== size) {
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
    await this.bucket.files.deleteMany({ _id: { $in: [...fileIds] } });
    await this.bucket.removeChunks(fileIds);
  }
}

/** Bytes in pieces of one chunk each, in memory of their own. */
async function* inChunks(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let filled = 0;
  for await (const piece of body) {
    for (let taken = 0; taken < piece.length;) {
      const part = piece.subarray(taken, taken + CHUNK_BYTES - filled);
      chunk.set(part, filled);
      filled += part.length;
      taken += part.length;
      if (filled < CHUNK_BYTES) continue;
      yield chunk;
      chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}
