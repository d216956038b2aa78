import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import {
  Binary,
  type ClientSession,
  type Collection,
  type Db,
  type Document,
  ObjectId,
} from 'mongodb';

import { declareBucket } from '../artifacts/bucket-schema';
import { CHUNK_BYTES, ChunkStore } from '../artifacts/chunk.store';
import { insertGroup } from '../mongo/insert-group';
import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import { GroupCommit, INSERT_LIMITS, type Outcome } from './group-commit';
import { digestOf } from './prediction-input';
import { type ErasedNote, type InputDoc, type PredictionInput } from './prediction.doc';
import { InputCorruptError, InputErasedError, InputMissingError } from './predictions.errors';

const BUCKET = 'inputs';

/** Larger inputs go to the bucket, so that records can be read with their input in one reply. */
export const INLINE_BYTES = 1024 * 1024;

/** How long an input that was seen here counts as stored: far less than any sweep would wait. */
const SEEN_TTL_MS = 60_000;

/** What is left of an input that was erased; `file` names what is still to be freed. */
export interface ErasedInput extends InputDoc {
  readonly erased: ErasedNote;
}

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

  /** @throws InputMissingError, InputErasedError, InputCorruptError */
  async read(digest: string): Promise<Buffer> {
    const doc = await this.inputs.findOne({ _id: digest });
    if (!doc) throw missing(digest);
    return await this.contentOf(doc);
  }

  /** @throws InputMissingError, InputErasedError */
  async assertStored(digest: string): Promise<void> {
    const doc = await this.inputs.findOne({ _id: digest }, { projection: { erased: 1 } });
    if (!doc) throw missing(digest);
    if (doc.erased) throw wasErased(doc);
  }

  /**
   * Leaves a note in place of an input: when the transaction of `session` ends, nobody reads its
   * bytes any more. Those in the bucket go with `freeErased`.
   *
   * @returns the input with its note, which is an earlier one when it was erased before
   * @throws InputMissingError
   */
  async erase(digest: string, erased: ErasedNote, session: ClientSession): Promise<ErasedInput> {
    const doc = await this.inputs.findOneAndUpdate(
      { _id: digest },
      [{ $set: { erased: { $ifNull: ['$erased', { $literal: erased }] } } }, { $unset: 'content' }],
      { session, returnDocument: 'after' },
    );
    if (!doc) throw missing(digest);
    return { ...doc, erased: doc.erased ?? erased };
  }

  /** Removes what an erased input had in the bucket, and then its name; can be repeated. */
  async freeErased({ _id: digest, file }: InputDoc): Promise<void> {
    if (file) {
      await this.large.remove([file]);
      await this.inputs.updateOne({ _id: digest, file }, { $unset: { file: '' } });
    }
    this.forget(digest);
  }

  /** What is known of an input that was removed: the next one is stored again. */
  forget(digest: string): void {
    this.seen.delete(digest);
  }

  /** @throws InputErasedError; InputCorruptError when the bytes are not those of the digest */
  async contentOf(doc: InputDoc): Promise<Buffer> {
    const { _id: digest, content, file, bytes } = doc;
    if (doc.erased) throw wasErased(doc);
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
    const doc = toDoc(input, { file });
    const [outcome] = await insertGroup(this.inputs, [doc]);
    if (outcome?.kind === 'inserted') return;
    if (outcome?.kind === 'present' && (await this.replaceErased([doc])) === 1) return;
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
      // Of one there is only the note that it was erased, or it was removed since: this time it
      // takes the place of the note, or is inserted.
      await this.replaceErased(present);
      return await this.writeGroup(docs);
    }
    return outcomes.map((outcome) =>
      outcome.kind === 'failed' ? outcome : { kind: 'done', value: undefined },
    );
  }

  /** What was erased and is sent again is stored again. @returns how many were */
  private async replaceErased(docs: readonly InputDoc[]): Promise<number> {
    const { modifiedCount } = await this.inputs.bulkWrite(
      docs.map(({ _id, ...replacement }) => ({
        replaceOne: { filter: { _id, erased: { $exists: true } }, replacement },
      })),
      { ordered: false },
    );
    return modifiedCount;
  }

  /** @returns whether the bytes of all of them are there, by then as used as those of a new one */
  private async renew(digests: readonly string[]): Promise<boolean> {
    const filter = { _id: { $in: [...new Set(digests)] }, erased: { $exists: false } };
    const { matchedCount } = await this.inputs.updateMany(filter, {
      $currentDate: { usedAt: true },
    });
    return matchedCount === filter._id.$in.length;
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

function missing(digest: string): InputMissingError {
  return new InputMissingError('The bytes of this input are not stored', { digest });
}

function wasErased({ _id: digest, erased }: InputDoc): InputErasedError {
  return new InputErasedError('This input was erased; its records stay', {
    digest,
    at: erased?.at.toISOString(),
    ...(erased?.reason === undefined ? {} : { reason: erased.reason }),
  });
}
