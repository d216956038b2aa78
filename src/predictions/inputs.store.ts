import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { Binary, type Collection, type Db, type Document, ObjectId } from 'mongodb';

import { declareBucket } from '../artifacts/bucket-schema';
import { CHUNK_BYTES, ChunkStore } from '../artifacts/chunk.store';
import { DATABASE } from '../mongo/mongo.tokens';
import { duplicateKeyIndex } from '../mongo/mongo-failure';
import { Schema } from '../mongo/schema';
import { digestOf } from './prediction-input';
import { type InputDoc, type PredictionInput } from './prediction.doc';
import { InputCorruptError, InputMissingError } from './predictions.errors';

const BUCKET = 'inputs';

/** Larger inputs go to the bucket, so that records can be read with their input in one reply. */
export const INLINE_BYTES = 1024 * 1024;

/** How long an input that was seen here counts as stored: far less than any sweep would wait. */
const SEEN_TTL_MS = 60_000;

/**
 * The inputs of predictions, each stored once by its digest.
 *
 * `save` returns when a majority holds every byte. Nothing is overwritten: equal digests are equal
 * bytes, and `read` proves it. A save that fails can leave chunks that no input refers to.
 */
@Injectable()
export class InputsStore {
  private readonly inputs: Collection<InputDoc>;
  private readonly chunks: Collection;
  private readonly large: ChunkStore;
  private readonly seen = new LRUCache<string, true>({ max: 20_000, ttl: SEEN_TTL_MS });

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.inputs = db.collection('inputs');
    this.chunks = db.collection(`${BUCKET}.chunks`);
    this.large = new ChunkStore(db, BUCKET);
    schema.declare('inputs', []);
    declareBucket(schema, BUCKET);
  }

  async save(input: PredictionInput): Promise<void> {
    if (this.seen.has(input.digest)) return;
    if (input.bytes <= INLINE_BYTES) await this.saveInline(input);
    else await this.saveLarge(input);
    this.seen.set(input.digest, true);
  }

  /** @throws InputMissingError, InputCorruptError */
  async read(digest: string): Promise<Buffer> {
    const doc = await this.inputs.findOne({ _id: digest });
    if (!doc) throw new InputMissingError('The bytes of this input are not stored', { digest });
    return await this.contentOf(doc);
  }

  /** @throws InputCorruptError when the bytes are not those of the digest */
  async contentOf({ _id: digest, content, file, bytes }: InputDoc): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    if (content) pieces.push(content.buffer.subarray(0, content.position));
    else if (file) for await (const piece of this.large.readBytes(file, bytes)) pieces.push(piece);
    const whole = Buffer.concat(pieces);
    if (digestOf(whole) !== digest) {
      throw new InputCorruptError('The stored bytes of an input are not those of its digest', {
        digest,
      });
    }
    return whole;
  }

  private async saveInline(input: PredictionInput): Promise<void> {
    await this.insertOnce(input, { content: new Binary(input.content) });
  }

  private async saveLarge(input: PredictionInput): Promise<void> {
    const known = await this.inputs.findOne({ _id: input.digest }, { projection: { _id: 1 } });
    if (known) return;
    const file = new ObjectId();
    await this.writeChunks(file, input.content);
    await this.large.sealFile(file, input.digest, input.bytes, { kind: input.kind });
    const isOurs = await this.insertOnce(input, { file });
    // Somebody stored the same input meanwhile: theirs stays.
    if (!isOurs) await this.large.remove([file]);
  }

  /** Unlike chunks of artifacts, these are never read back before they count: a majority has to have them. */
  private async writeChunks(file: ObjectId, content: Buffer): Promise<void> {
    const chunks: Document[] = [];
    for (let at = 0; at < content.length; at += CHUNK_BYTES) {
      const data = new Binary(content.subarray(at, at + CHUNK_BYTES));
      chunks.push({ files_id: file, n: chunks.length, data });
    }
    await this.chunks.insertMany(chunks, { ordered: false });
  }

  /** @returns false when the input was there already */
  private async insertOnce(
    { digest, kind, bytes, contentType }: PredictionInput,
    where: Pick<InputDoc, 'content'> | Pick<InputDoc, 'file'>,
  ): Promise<boolean> {
    const upsert = async (): Promise<boolean> => {
      const $setOnInsert = { kind, bytes, contentType, ...where, createdAt: new Date() };
      const result = await this.inputs.updateOne(
        { _id: digest },
        { $setOnInsert },
        { upsert: true },
      );
      return result.upsertedCount > 0;
    };
    try {
      return await upsert();
    } catch (error) {
      if (duplicateKeyIndex(error) === undefined) throw error;
      // Two upserts raced. Asked again, the server waits until a majority has the other one.
      return await upsert();
    }
  }
}
