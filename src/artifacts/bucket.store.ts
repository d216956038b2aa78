import { Binary, type Collection, type Db, type Document, ObjectId } from 'mongodb';

/** What GridFS knows about a file: a document of collection `….files`. */
export interface FileDoc<Metadata> {
  readonly _id: ObjectId;
  readonly length: number;
  readonly chunkSize: number;
  readonly uploadDate: Date;
  readonly filename: string;
  readonly metadata: Metadata;
}

/** A document of collection `….chunks`. */
export interface ChunkDoc {
  readonly _id: ObjectId;
  readonly files_id: ObjectId;
  readonly n: number;
  readonly data: Binary;
}

/**
 * The two collections of a GridFS bucket, and how files and chunks lie in them.
 *
 * Laid out so that every GridFS client can read it, yet written and read here: the driver's
 * streams copy each byte twice, send one chunk at a time, and end normally when the last chunks
 * of a file are missing.
 */
export class BucketStore<Metadata extends Document> {
  readonly files: Collection<FileDoc<Metadata>>;
  readonly chunks: Collection<ChunkDoc>;

  constructor(
    db: Db,
    bucket: string,
    readonly chunkBytes: number,
  ) {
    this.files = db.collection(`${bucket}.files`);
    this.chunks = db.collection(`${bucket}.chunks`);
  }

  /** The chunks of a file in order, as views of its bytes. */
  *cut(fileId: ObjectId, bytes: Uint8Array): Generator<ChunkDoc> {
    for (let n = 0; n * this.chunkBytes < bytes.length; n++) {
      const data = new Binary(bytes.subarray(n * this.chunkBytes, (n + 1) * this.chunkBytes));
      yield { _id: new ObjectId(), files_id: fileId, n, data };
    }
  }

  /** What makes written chunks a file that GridFS clients see. */
  describe(
    file: Pick<FileDoc<Metadata>, '_id' | 'length' | 'filename' | 'metadata'>,
  ): FileDoc<Metadata> {
    return { ...file, chunkSize: this.chunkBytes, uploadDate: new Date() };
  }

  async removeChunks(fileIds: readonly ObjectId[]): Promise<void> {
    if (fileIds.length > 0) await this.chunks.deleteMany({ files_id: { $in: [...fileIds] } });
  }
}

/** The bytes of a chunk as a view of the database's reply; undefined where it holds something else. */
export function bytesOf({ data }: Pick<ChunkDoc, 'data'>): Uint8Array | undefined {
  return data instanceof Binary ? data.buffer.subarray(0, data.position) : undefined;
}
