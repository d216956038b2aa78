import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { Binary, type Collection, type Db, type Document, ObjectId } from 'mongodb';

import { declareBucket } from '../artifacts/bucket-schema';
import { CHUNK_BYTES, ChunkStore } from '../artifacts/chunk.store';
import { insertGroup } from '../mongo/insert-group';
import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import { GroupCommit, INSERT_LIMITS, type Outcome } from './group-commit';
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
  private readonly saving = new Map<string, Promise<void>>();
  private readonly small = new GroupCommit<InputDoc>(
    async (docs) => await this.writeGroup(docs),
    INSERT_LIMITS,
  );

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.inputs = db.collection('inputs');
    this.chunks = db.collection(`${BUCKET}.chunks`);
    this.large = new ChunkStore(db, BUCKET);
    schema.declare('inputs', []);
    declareBucket(schema, BUCKET);
  }

  async save(input: PredictionInput): Promise<void> {
    const { digest } = input;
    if (this.seen.has(digest)) return;
    let saving = this.saving.get(digest);
    if (!saving) {
      saving = this.saveNew(input).finally(() => this.saving.delete(digest));
      this.saving.set(digest, saving);
    }
    await saving;
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

  /** What is known of an input that was removed: the next one is stored again. */
  forget(digest: string): void {
    this.seen.delete(digest);
  }

  private async saveNew(input: PredictionInput): Promise<void> {
    if (input.bytes <= INLINE_BYTES) {
      await this.small.add(toDoc(input, { content: new Binary(input.content) }), input.bytes);
    } else {
      await this.saveLarge(input);
    }
    this.seen.set(input.digest, true);
  }

  private async saveLarge(input: PredictionInput): Promise<void> {
    if (await this.renew([input.digest])) return;
    const file = new ObjectId();
    await this.writeChunks(file, input.content);
    await this.large.sealFile(file, input.digest, input.bytes, { kind: input.kind });
    const [outcome] = await insertGroup(this.inputs, [toDoc(input, { file })]);
    if (outcome?.kind === 'inserted') return;
    // Somebody stored the same input meanwhile: theirs stays.
    await this.large.remove([file]);
    if (outcome?.kind === 'failed') throw outcome.cause;
    if (!(await this.renew([input.digest]))) await this.saveLarge(input);
  }

  /** What is there already is marked as used, or the sweeper could take it away as old. */
  private async writeGroup(docs: readonly InputDoc[]): Promise<Outcome<void>[]> {
    const outcomes = await insertGroup(this.inputs, docs);
    const present = docs.filter((_, place) => outcomes[place]?.kind === 'present');
    if (present.length > 0 && !(await this.renew(present.map(({ _id }) => _id)))) {
      // One of them was removed since: this time it is inserted.
      return await this.writeGroup(docs);
    }
    return outcomes.map((outcome) =>
      outcome.kind === 'failed' ? outcome : { kind: 'done', value: undefined },
    );
  }

  /** @returns whether all of them are there, by then as used as a new one */
  private async renew(digests: readonly string[]): Promise<boolean> {
    const filter = { _id: { $in: [...digests] } };
    const { matchedCount } = await this.inputs.updateMany(filter, {
      $currentDate: { usedAt: true },
    });
    return matchedCount === digests.length;
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
}

function toDoc(
  { digest, kind, bytes, contentType }: PredictionInput,
  where: Pick<InputDoc, 'content'> | Pick<InputDoc, 'file'>,
): InputDoc {
  const now = new Date();
  return { _id: digest, kind, bytes, contentType, ...where, createdAt: now, usedAt: now };
}
