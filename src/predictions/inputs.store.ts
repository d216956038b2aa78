import { setImmediate as nextTurn } from 'node:timers/promises';

import { Inject, Injectable } from '@nestjs/common';
import { type ClientSession, type Collection, type Db, type Document, ObjectId } from 'mongodb';

import { declareBucket } from '../artifacts/bucket-schema';
import { ChunkStore } from '../artifacts/chunk.store';
import { insertGroup } from '../mongo/insert-group';
import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import { groupsOf, type Outcome } from './group-commit';
import { digestBytes, digestText } from './input-digest';
import { inlineContent, toInputDoc, toStoredInput } from './input-form';
import { renewInputs } from './old-forms';
import { digestOf } from './prediction-input';
import {
  type ErasedNote,
  type InputDoc,
  type PredictionDoc,
  type PredictionInput,
  type StoredInput,
} from './prediction.doc';
import { type CondemnedRecords, condemnedQuery } from './predictions.repository';
import { InputCorruptError, InputErasedError, InputMissingError } from './predictions.errors';
import { SeenLately } from './seen-lately';

const BUCKET = 'inputs';

/** Larger inputs go to the bucket, so that records can be read with their input in one reply. */
export const INLINE_BYTES = 1024 * 1024;

/** Before every digest: shorter bytes come first. */
const EMPTY: Uint8Array = new Uint8Array(0);

/** Inputs that are looked at together. */
const PAGE = 500;

/** Predictions that one query reads for each input whose users it looks for. */
const USERS_EACH = 4;

/** Chunks of one input being written at once: enough to hide the round trips. */
const CHUNKS_UNDER_WAY = 3;

/** No write to the bucket takes nearly as long. */
const LOOSE_FOR_MS = 86_400_000;

/** How long an input that was seen here counts as stored: far less than any sweep would wait. */
const SEEN_LIMITS = { maxItems: 20_000, maxAgeMs: 60_000 };

/** An input without its bytes, and whether a prediction refers to it. */
type InputUse = Pick<InputDoc, 'bytes' | 'file' | 'erased' | 'unusedSince'> & {
  readonly digest: string;
  readonly isUsed: boolean;
};

/** Which inputs to look at, and which predictions count. */
interface UseQuery {
  readonly due?: Document;
  readonly stays?: Document;
  readonly session?: ClientSession;
}

/** Inputs that were removed, with what they have in the bucket. */
export interface RemovedInputs {
  readonly inputs: number;
  readonly bytes: number;
  readonly digests: readonly string[];
  readonly files: readonly ObjectId[];
}

/** What is left of an input that was erased; `file` names what is still to be freed. */
export interface ErasedInput extends StoredInput {
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
  private readonly predictions: Collection<PredictionDoc>;
  private readonly chunks: Collection;
  private readonly large: ChunkStore;
  private readonly seen = new SeenLately(SEEN_LIMITS);
  private readonly saving = new Map<string, Promise<void>>();

  constructor(
    @Inject(DATABASE) private readonly db: Db,
    schema: Schema,
  ) {
    this.inputs = db.collection('inputs', { promoteBuffers: true });
    this.predictions = db.collection('predictions', { promoteBuffers: true });
    this.chunks = db.collection(`${BUCKET}.chunks`);
    this.large = new ChunkStore(db, BUCKET);
    schema.declare('inputs', [
      {
        name: 'unused_since',
        key: { unusedSince: 1 },
        partialFilterExpression: { unusedSince: { $exists: true } },
        reason: 'inputs that no prediction refers to',
      },
      {
        name: 'file',
        key: { file: 1 },
        partialFilterExpression: { file: { $exists: true } },
        reason: 'whose a file in the bucket is',
      },
      {
        name: 'erased',
        key: { _id: 1, 'erased.at': 1 },
        partialFilterExpression: { erased: { $exists: true } },
        reason: 'which of many inputs were erased, without reading those that were not',
      },
    ]);
    declareBucket(schema, BUCKET);
    schema.renew('inputs', renewInputs);
  }

  async save(input: PredictionInput): Promise<void> {
    const { digest, bytes } = input;
    if (bytes <= INLINE_BYTES) {
      for (const cause of (await this.saveAll([input])).values()) throw cause;
      return;
    }
    if (this.seen.has(digest)) return;
    let saving = this.saving.get(digest);
    if (!saving) {
      saving = this.saveLarge(input).finally(() => this.saving.delete(digest));
      this.saving.set(digest, saving);
    }
    await saving;
    this.seen.add(digest);
  }

  /** `save` of many, with the fewest commands. @returns what failed, by digest; never rejects */
  async saveAll(inputs: readonly PredictionInput[]): Promise<ReadonlyMap<string, unknown>> {
    const failures = new Map<string, unknown>();
    const unseen = new Map<string, PredictionInput>();
    for (const input of inputs) {
      if (!this.seen.has(input.digest)) unseen.set(input.digest, input);
    }
    const small: PredictionInput[] = [];
    for (const input of unseen.values()) {
      if (input.bytes <= INLINE_BYTES) small.push(input);
      else await this.save(input).catch((cause: unknown) => failures.set(input.digest, cause));
    }
    for (const group of groupsOf(small, ({ bytes }) => bytes)) {
      const docs = group.map((input) => toInputDoc(input, inlineContent(input)));
      const outcomes = await this.writeGroup(docs).catch((cause: unknown) =>
        group.map((): Outcome<void> => ({ kind: 'failed', cause })),
      );
      group.forEach(({ digest }, place) => {
        const outcome = outcomes[place];
        if (outcome?.kind === 'failed') failures.set(digest, outcome.cause);
        else this.seen.add(digest);
      });
    }
    return failures;
  }

  /** @throws InputMissingError, InputErasedError, InputCorruptError */
  async read(digest: string): Promise<Buffer> {
    const doc = await this.inputs.findOne({ _id: digestBytes(digest) });
    if (!doc) throw missing(digest);
    return await this.contentOf(toStoredInput(doc));
  }

  /** @throws InputMissingError, InputErasedError */
  async assertStored(digest: string, session?: ClientSession): Promise<void> {
    const options = { projection: { erased: 1 }, ...(session ? { session } : {}) };
    const doc = await this.inputs.findOne({ _id: digestBytes(digest) }, options);
    if (!doc) throw missing(digest);
    if (doc.erased) throw wasErased(digest, doc.erased);
  }

  /** Which of these were erased, with the notes that say why. */
  async erasedAmong(digests: readonly string[]): Promise<ReadonlyMap<string, ErasedNote>> {
    if (digests.length === 0) return new Map();
    const docs = await this.inputs
      .find({
        _id: { $in: [...new Set(digests)].map(digestBytes) },
        erased: { $exists: true },
      })
      .project<Pick<InputDoc, '_id'> & { readonly erased: ErasedNote }>({ erased: 1 })
      .hint('erased')
      .toArray();
    return new Map(docs.map(({ _id, erased }) => [digestText(_id), erased]));
  }

  /**
   * Says of inputs that never stood here that they were erased elsewhere; of one that stands here,
   * erased or not, nothing changes.
   *
   * @returns the notes that were left
   */
  async noteErased(
    inputs: readonly ErasedInput[],
    session: ClientSession,
  ): Promise<readonly ErasedInput[]> {
    const docs = inputs.map((input) => toInputDoc(input, { erased: input.erased }));
    const standing = await this.inputs
      .find({ _id: { $in: docs.map(({ _id }) => _id) } }, { session })
      .project<Pick<InputDoc, '_id'>>({ _id: 1 })
      .toArray();
    const known = new Set(standing.map(({ _id }) => digestText(_id)));
    const left = docs.filter(({ _id }) => !known.has(digestText(_id)));
    if (left.length > 0) await this.inputs.insertMany(left, { session });
    return inputs.filter(({ digest }) => !known.has(digest));
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
      { _id: digestBytes(digest) },
      [{ $set: { erased: { $ifNull: ['$erased', { $literal: erased }] } } }, { $unset: 'content' }],
      { session, returnDocument: 'after' },
    );
    if (!doc) throw missing(digest);
    return { ...toStoredInput(doc), erased: doc.erased ?? erased };
  }

  /** Removes what an erased input had in the bucket, and then its name; can be repeated. */
  async freeErased({ digest, file }: StoredInput): Promise<void> {
    if (file) {
      await this.large.remove([file]);
      await this.inputs.updateOne({ _id: digestBytes(digest), file }, { $unset: { file: '' } });
    }
    this.forget(digest);
  }

  /** What is known of an input that was removed: the next one is stored again. */
  forget(digest: string): void {
    this.seen.delete(digest);
  }

  /** Digests of all inputs, page by page. */
  async *pages(size: number): AsyncGenerator<string[]> {
    for (let after = EMPTY; ;) {
      const docs = await this.inputs
        .find({ _id: { $gt: after } })
        .project<Pick<InputDoc, '_id'>>({ _id: 1 })
        .sort({ _id: 1 })
        .limit(size)
        .toArray();
      const last = docs.at(-1);
      if (!last) return;
      yield docs.map(({ _id }) => digestText(_id));
      after = last._id;
    }
  }

  /** Marks those that no prediction refers to, and those no longer that one does. @returns how many have the mark */
  async markUnused(digests: readonly string[]): Promise<number> {
    const known = await this.usesOf(digests);
    const unused = known.filter(({ isUsed }) => !isUsed).map(({ digest }) => digestBytes(digest));
    await this.inputs.updateMany({ _id: { $in: unused }, unusedSince: { $exists: false } }, [
      { $set: { unusedSince: '$$NOW' } },
    ]);
    const used = known.filter(({ isUsed, unusedSince }) => isUsed && unusedSince);
    await this.inputs.updateMany(
      { _id: { $in: used.map(({ digest }) => digestBytes(digest)) } },
      { $unset: { unusedSince: '' } },
    );
    return unused.length;
  }

  /** Inputs that have had the mark for the grace, by digest, from behind `after`. */
  async listUnused(graceMs: number, limit: number, after: string): Promise<string[]> {
    const docs = await this.inputs
      .find({ _id: { $gt: after === '' ? EMPTY : digestBytes(after) }, ...unusedFor(graceMs) })
      .project<Pick<InputDoc, '_id'>>({ _id: 1 })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray();
    return docs.map(({ _id }) => digestText(_id));
  }

  /**
   * Removes in the transaction of `session` what has had the mark for the grace and what still no
   * prediction refers to; the bytes in the bucket go with `freeFiles`.
   */
  async removeUnused(
    digests: readonly string[],
    graceMs: number,
    session: ClientSession,
  ): Promise<RemovedInputs> {
    const docs = (await this.usesOf(digests, { due: unusedFor(graceMs), session })).filter(
      ({ isUsed }) => !isUsed,
    );
    const ids = docs.map(({ digest }) => digestBytes(digest));
    // Whoever stores one of them again writes to its document, and this starts over.
    await this.inputs.deleteMany({ _id: { $in: ids } }, { session });
    return {
      inputs: docs.length,
      bytes: docs.reduce((sum, { bytes, erased }) => sum + (erased ? 0 : bytes), 0),
      digests: docs.map(({ digest }) => digest),
      files: docs.flatMap(({ file }) => (file ? [file] : [])),
    };
  }

  async freeFiles({ digests, files }: RemovedInputs): Promise<void> {
    for (const digest of digests) this.forget(digest);
    await this.large.remove(files);
  }

  /** What nobody would refer to without the condemned records, and what it takes up; only looks. */
  async measureUnused(
    condemned: readonly CondemnedRecords[],
    heldIds: readonly string[],
    heldInputs: readonly string[],
  ): Promise<{ count: number; bytes: number }> {
    const stays = condemned.length > 0 ? { $nor: [condemnedQuery(condemned, heldIds)] } : {};
    const total = { count: 0, bytes: 0 };
    const held = new Set(heldInputs);
    for await (const page of this.pages(PAGE)) {
      for (const { digest, isUsed, erased, bytes } of await this.usesOf(page, { stays })) {
        if (isUsed || held.has(digest)) continue;
        total.count++;
        total.bytes += erased ? 0 : bytes;
      }
    }
    return total;
  }

  async listErasedWithFile(): Promise<ErasedInput[]> {
    return await this.inputs
      .find({ file: { $exists: true }, erased: { $exists: true } })
      .toArray()
      .then((docs) =>
        docs.flatMap((doc) => (doc.erased ? [{ ...toStoredInput(doc), erased: doc.erased }] : [])),
      );
  }

  /** Removes what writes that broke off, and removals that did, left in the bucket a day ago or longer. */
  async removeLooseFiles(): Promise<void> {
    const before = ObjectId.createFromTime(Math.floor((Date.now() - LOOSE_FOR_MS) / 1000));
    let page: ObjectId[] = [];
    const removeLoose = async (): Promise<void> => {
      const owned = await this.inputs
        .find({ file: { $in: page } })
        .project<{ file: ObjectId }>({ file: 1 })
        .toArray();
      const known = new Set(owned.map(({ file }) => file.toHexString()));
      await this.large.remove(page.filter((id) => !known.has(id.toHexString())));
      page = [];
    };
    const owners = this.chunks.aggregate<{ _id: ObjectId }>([
      { $match: { files_id: { $lt: before } } },
      { $group: { _id: '$files_id' } },
    ]);
    for await (const { _id } of owners) {
      if (page.push(_id) >= PAGE) await removeLoose();
    }
    if (page.length > 0) await removeLoose();
  }

  /** @throws InputErasedError; InputCorruptError when the bytes are not those of the digest */
  async contentOf({ digest, content, file, bytes, erased }: StoredInput): Promise<Buffer> {
    if (erased) throw wasErased(digest, erased);
    const pieces: Uint8Array[] = [];
    if (content) pieces.push(content);
    else if (file) for await (const piece of this.large.readBytes(file, bytes)) pieces.push(piece);
    const whole = Buffer.concat(pieces);
    if (digestOf(whole) !== digest) {
      throw new InputCorruptError('The stored bytes of an input are not those of its digest', {
        digest,
      });
    }
    return whole;
  }

  /** Inputs without their bytes, and whether a prediction that `stays` refers to each. */
  private async usesOf(
    digests: readonly string[],
    { due = {}, stays = {}, session }: UseQuery = {},
  ): Promise<InputUse[]> {
    const docs = await this.inputs
      .find({ _id: { $in: digests.map(digestBytes) }, ...due }, session ? { session } : {})
      .project<Omit<InputUse, 'digest' | 'isUsed'> & Pick<InputDoc, '_id'>>({
        bytes: 1,
        file: 1,
        erased: 1,
        unusedSince: 1,
      })
      .toArray();
    const known = docs.map(({ _id, ...rest }) => ({ digest: digestText(_id), ...rest }));
    const found = known.map(({ digest }) => digest);
    const used = await this.usedAmong(found, { stays, ...(session ? { session } : {}) });
    return known.map((use) => ({ ...use, isUsed: used.has(use.digest) }));
  }

  /**
   * Which of these inputs a prediction refers to. One query finds the users of many in a fraction
   * of the time that looking for one after the other takes. Its end is where each could have had a
   * few: inputs of many predictions fill it, and what it then left open is looked for one by one.
   */
  private async usedAmong(
    digests: readonly string[],
    { stays = {}, session }: Omit<UseQuery, 'due'>,
  ): Promise<ReadonlySet<string>> {
    const options = session ? { session } : {};
    const limit = USERS_EACH * digests.length;
    if (limit === 0) return new Set();
    // No hint: a partial index would be used as well then, and what it lacks would seem unused.
    const users = await this.predictions
      .find({ $and: [{ 'input.digest': { $in: digests.map(digestBytes) } }, stays] }, options)
      .project<Pick<PredictionDoc, 'input'>>({ _id: 0, 'input.digest': 1 })
      .limit(limit)
      .toArray();
    const used = new Set(users.map(({ input }) => digestText(input.digest)));
    if (users.length < limit) return used;
    const open = digests.filter((digest) => !used.has(digest)).map(digestBytes);
    const others = await this.inputs
      .aggregate<Pick<InputDoc, '_id'>>(
        [
          { $match: { _id: { $in: open } } },
          { $project: { _id: 1 } },
          {
            $lookup: {
              from: 'predictions',
              localField: '_id',
              foreignField: 'input.digest',
              pipeline: [{ $match: stays }, { $limit: 1 }, { $project: { _id: 1 } }],
              as: 'users',
            },
          },
          { $match: { users: { $ne: [] } } },
          { $project: { _id: 1 } },
        ],
        options,
      )
      .toArray();
    for (const { _id } of others) used.add(digestText(_id));
    return used;
  }

  private async saveLarge(input: PredictionInput): Promise<void> {
    const _id = digestBytes(input.digest);
    if (await this.renew([_id])) return;
    const file = new ObjectId();
    await this.writeChunks(file, input.content);
    await this.large.sealFile(file, input.digest, input.bytes, { kind: input.kind });
    const doc = toInputDoc(input, { file });
    const [outcome] = await insertGroup(this.db, 'inputs', [doc]);
    if (outcome?.kind === 'inserted') return;
    if (outcome?.kind === 'present' && (await this.replaceErased([doc])) === 1) return;
    // Somebody stored the same input meanwhile: theirs stays.
    await this.large.remove([file]);
    if (outcome?.kind === 'failed') throw outcome.cause;
    if (!(await this.renew([_id]))) await this.saveLarge(input);
  }

  /** What is there already is marked as used, or the sweeper could take it away as old. */
  private async writeGroup(docs: readonly InputDoc[]): Promise<Outcome<void>[]> {
    const outcomes = await insertGroup(this.db, 'inputs', docs);
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
  private async renew(ids: readonly Uint8Array[]): Promise<boolean> {
    const filter = { _id: { $in: [...ids] }, erased: { $exists: false } };
    const { matchedCount } = await this.inputs.updateMany(filter, {
      $currentDate: { usedAt: true },
      $unset: { unusedSince: '' },
    });
    return matchedCount === filter._id.$in.length;
  }

  /**
   * Unlike chunks of artifacts, these are never read back before they count: a majority has to
   * have them. The driver copies what it sends, so a command carries one chunk, and the event loop
   * turns before the next: all in one would hold up everybody else.
   */
  private async writeChunks(file: ObjectId, content: Buffer): Promise<void> {
    const writes: Promise<unknown>[] = [];
    try {
      for (const chunk of this.large.cut(file, content)) {
        await (writes[chunk.n - CHUNKS_UNDER_WAY] ?? nextTurn());
        const write = this.chunks.insertOne(chunk);
        // Looked at below; one that fails before its turn must not end the process.
        write.catch(() => undefined);
        writes.push(write);
      }
      await Promise.all(writes);
    } catch (cause) {
      // None may be on its way any more when whoever waits is told.
      await Promise.allSettled(writes);
      throw cause;
    }
  }
}

function missing(digest: string): InputMissingError {
  return new InputMissingError('The bytes of this input are not stored', { digest });
}

function wasErased(digest: string, { at, reason }: ErasedNote): InputErasedError {
  return new InputErasedError('This input was erased; its records stay', {
    digest,
    at: at.toISOString(),
    ...(reason === undefined ? {} : { reason }),
  });
}

/** By the server's clock, which set the mark. */
function unusedFor(graceMs: number): Document {
  const since = { $lte: ['$unusedSince', { $subtract: ['$$NOW', graceMs] }] };
  return { unusedSince: { $exists: true }, $expr: since };
}
