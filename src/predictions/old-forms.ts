import { type Db, type ObjectId } from 'mongodb';

import { fromPairs, type Pair } from '../models/version.doc';
import { insertGroup } from '../mongo/insert-group';
import { digestBytes } from './input-digest';
import { type RecordToStore, toPredictionDoc, USUAL } from './prediction-form';
import {
  type ErasedNote,
  type InputDoc,
  type PredictionDoc,
  type TensorHeader,
} from './prediction.doc';

/** Documents that are rewritten together: so many, or as soon as they have so many bytes. */
const GROUP = { docs: 500, bytes: 8 * 1024 * 1024 };

/** A record as the first builds wrote it: digests in text, everything spelled out. */
interface OldPredictionDoc extends Omit<RecordToStore, 'id' | 'tags' | 'outputs'> {
  readonly _id: ObjectId;
  readonly tags: readonly Pair<string>[];
  readonly outputs?: readonly (TensorHeader & { readonly values: Uint8Array })[];
}

/** An input as the first builds wrote it; its `_id` is the digest in text. */
interface OldInputDoc {
  readonly _id: string;
  readonly kind: NonNullable<InputDoc['kind']>;
  readonly bytes: number;
  readonly contentType: string;
  readonly content?: Uint8Array;
  readonly file?: ObjectId;
  readonly erased?: ErasedNote;
  readonly unusedSince?: Date;
}

/**
 * Rewrites records in an older form.
 *
 * From the newest to the oldest, so that the oldest one tells whether anything is left to do, also
 * after a crash in the middle.
 */
export async function renewPredictions(db: Db): Promise<void> {
  const old = db.collection<OldPredictionDoc>('predictions', { promoteBuffers: true });
  const isOld = { 'input.digest': { $type: 'string' as const } };
  const oldest = await old.findOne({}, { sort: { _id: 1 }, projection: { 'input.digest': 1 } });
  if (typeof oldest?.input.digest !== 'string') return;
  const renewed = db.collection<PredictionDoc>('predictions');
  const docs = old.find(isOld).sort({ _id: -1 });
  for await (const group of groups(docs, ({ outputs = [] }) =>
    outputs.reduce((sum, { values }) => sum + values.length, 0),
  )) {
    await renewed.bulkWrite(
      group.map((doc) => ({
        replaceOne: {
          filter: { _id: doc._id },
          // The `_id` in it is the one that it replaces, which the database accepts.
          replacement: toPredictionDoc(toRecord(doc), doc._id),
        },
      })),
      { ordered: false },
    );
  }
}

/** Gives inputs in an older form their new `_id`; one that crashed in between stands under both. */
export async function renewInputs(db: Db): Promise<void> {
  const old = db.collection<OldInputDoc>('inputs', { promoteBuffers: true });
  const docs = old.find({ _id: { $type: 'string' } });
  for await (const group of groups(docs, ({ content }) => content?.length ?? 0)) {
    const outcomes = await insertGroup(db, 'inputs', group.map(toInputDoc));
    const failed = outcomes.find((outcome) => outcome.kind === 'failed');
    if (failed) throw failed.cause;
    await old.deleteMany({ _id: { $in: group.map(({ _id }) => _id) } });
  }
}

async function* groups<T>(docs: AsyncIterable<T>, weigh: (doc: T) => number): AsyncGenerator<T[]> {
  let group: T[] = [];
  let bytes = 0;
  for await (const doc of docs) {
    group.push(doc);
    bytes += weigh(doc);
    if (group.length < GROUP.docs && bytes < GROUP.bytes) continue;
    yield group;
    [group, bytes] = [[], 0];
  }
  if (group.length > 0) yield group;
}

function toRecord({ _id, tags, outputs, ...rest }: OldPredictionDoc): RecordToStore {
  return {
    ...rest,
    id: _id.toHexString(),
    tags: fromPairs(tags),
    ...(outputs
      ? {
          outputs: Object.fromEntries(
            outputs.map(({ name, dtype, shape, values }) => [name, { dtype, shape, data: values }]),
          ),
        }
      : {}),
  };
}

function toInputDoc({ _id, kind, bytes, contentType, ...rest }: OldInputDoc): InputDoc {
  const { content, file, erased, unusedSince } = rest;
  return {
    _id: digestBytes(_id),
    ...(kind === USUAL.kind ? {} : { kind }),
    bytes,
    ...(contentType === USUAL.contentType ? {} : { contentType }),
    ...(content ? { content } : {}),
    ...(file ? { file } : {}),
    ...(erased ? { erased } : {}),
    ...(unusedSince ? { unusedSince } : {}),
  };
}
