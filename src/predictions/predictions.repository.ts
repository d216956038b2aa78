import { Inject, Injectable } from '@nestjs/common';
import { type ClientSession, type Collection, type Db, type Filter, ObjectId } from 'mongodb';

import { type RetentionSetting } from '../models/model.doc';
import { insertGroup } from '../mongo/insert-group';
import { isLostCursor } from '../mongo/mongo-failure';
import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import { type FeedbackDoc, type Truth } from './feedback.doc';
import { joinFeedback, latestFeedback } from './feedback.repository';
import { DONE, groupsOf, type Outcome } from './group-commit';
import { digestBytes } from './input-digest';
import { toStoredInput } from './input-form';
import { renewPredictions } from './old-forms';
import {
  type RecordToStore,
  toInputSummary,
  toPrediction,
  toPredictionDoc,
} from './prediction-form';
import {
  type InputDoc,
  type InputSummary,
  type Prediction,
  type PredictionDoc,
  type PredictionStatus,
  type Protocol,
  type StoredInput,
} from './prediction.doc';

/** Which predictions to list; `since` is included, `until` is not. */
export interface PredictionFilter {
  readonly model?: string;
  readonly version?: number;
  readonly alias?: string;
  readonly status?: PredictionStatus;
  readonly protocol?: Protocol;
  readonly callerId?: string;
  readonly since?: Date;
  readonly until?: Date;
  /** The best label of at least one row. */
  readonly label?: string;
}

/** A record with what belongs to it. */
export interface JoinedPrediction {
  readonly prediction: Prediction;
  readonly input: StoredInput | null;
  readonly feedback: FeedbackDoc | null;
}

export const COUNTED_BY = ['version', 'label', 'hour', 'status'] as const;
export type CountedBy = (typeof COUNTED_BY)[number];

/** Records of a model up to an id: all of them are to go, but those that are held. */
export interface CondemnedRecords {
  readonly model: string;
  readonly upTo: ObjectId;
}

/** How many predictions have one value of what they were counted by. */
export interface PredictionCount {
  readonly value: number | string;
  readonly count: number;
}

/** Groups that a count gives at most; more hours than a year has. */
const MAX_GROUPS = 10_000;
const COUNT_TIMEOUT_MS = 20_000;

/** Rows of `top` that a list shows. */
const LISTED_TOP_ROWS = 16;

/** Values of outputs that a list of images shows, for each. */
const LISTED_OUTPUT_BYTES = 16 * 1024;

/** What a document weighs beside its tensors. */
const RECORD_BYTES = 1024;

/** Times in a row that a stream opens its cursor again. */
const MAX_REOPENED = 3;

const DAY_MS = 86_400_000;

/** The last second that an ObjectId can name. */
const LAST_SECOND = 0xffffffff;

/**
 * Records of predictions, written once and never changed.
 *
 * Ids grow with time, so lists need no other order: what is written while somebody pages through
 * stands before the first page.
 */
@Injectable()
export class PredictionsRepository {
  private readonly predictions: Collection<PredictionDoc>;

  constructor(
    @Inject(DATABASE) private readonly db: Db,
    schema: Schema,
  ) {
    this.predictions = db.collection('predictions', { promoteBuffers: true });
    schema.declare('predictions', [
      {
        name: 'model_newest',
        key: { model: 1, _id: -1 },
        reason: 'the predictions of a model, newest first',
      },
      {
        name: 'version_newest',
        key: { model: 1, version: 1, _id: -1 },
        reason: 'the predictions of a version, newest first',
      },
      {
        name: 'alias_newest',
        key: { model: 1, alias: 1, _id: -1 },
        reason: 'the predictions behind an alias, newest first',
        partialFilterExpression: { alias: { $exists: true } },
      },
      {
        name: 'failed_newest',
        key: { status: 1, _id: -1 },
        reason: 'what failed, newest first; costs the predictions that did not fail nothing',
        partialFilterExpression: { status: 'failed' },
      },
      {
        name: 'model_failed_newest',
        key: { model: 1, status: 1, _id: -1 },
        reason: 'what failed of one model, newest first',
        partialFilterExpression: { status: 'failed' },
      },
      {
        name: 'version_failed_newest',
        key: { model: 1, version: 1, status: 1, _id: -1 },
        reason: 'what failed of one version, newest first, also where others failed more',
        partialFilterExpression: { status: 'failed' },
      },
      {
        name: 'alias_failed_newest',
        key: { model: 1, alias: 1, status: 1, _id: -1 },
        reason: 'what failed behind one alias, newest first, also where others failed more',
        partialFilterExpression: { status: 'failed', alias: { $exists: true } },
      },
      {
        name: 'image_newest',
        key: { protocol: 1, _id: -1 },
        reason: 'what came through the image service, newest first',
        partialFilterExpression: { protocol: 'image' },
      },
      {
        name: 'caller_newest',
        key: { callerId: 1, _id: -1 },
        reason: 'the predictions under an id that the caller gave',
        partialFilterExpression: { callerId: { $exists: true } },
      },
      {
        name: 'model_label_newest',
        key: { model: 1, labels: 1, _id: -1 },
        reason: 'the predictions of a model with one best label, also where it is rare',
        partialFilterExpression: { labels: { $exists: true } },
      },
      {
        name: 'made_from',
        // Hashed: a quarter of the bytes that the digests would take.
        key: { 'input.digest': 'hashed' },
        reason: 'the predictions that were made from an input; whether there are any',
      },
      {
        name: 'label_newest',
        key: { labels: 1, _id: -1 },
        reason: 'the predictions whose best label is the one asked for, newest first',
        partialFilterExpression: { labels: { $exists: true } },
      },
    ]);
    schema.renew('predictions', renewPredictions);
  }

  newId(): string {
    return new ObjectId().toHexString();
  }

  /**
   * Returns when a majority has the record. Safe to repeat after a failure: the id is the
   * caller's, so a record can only meet itself.
   */
  async insert(record: RecordToStore): Promise<void> {
    for (const outcome of await this.insertAll([record])) {
      if (outcome.kind === 'failed') throw outcome.cause;
    }
  }

  /** `insert` of many, with the fewest commands. @returns what became of each; never rejects */
  async insertAll(records: readonly RecordToStore[]): Promise<readonly Outcome<void>[]> {
    const outcomes: Outcome<void>[] = [];
    for (const group of groupsOf(records, weighDoc)) {
      const docs = group.map((record) => toPredictionDoc(record, new ObjectId(record.id)));
      for (const outcome of await insertGroup(this.db, 'predictions', docs)) {
        outcomes.push(outcome.kind === 'failed' ? outcome : DONE);
      }
    }
    return outcomes;
  }

  async remove(id: string): Promise<void> {
    await this.predictions.deleteOne({ _id: new ObjectId(id) });
  }

  /** Without the values of the outputs, and with the first rows of `top` only. */
  async list(
    filter: PredictionFilter,
    page: { readonly limit: number; readonly before?: string },
  ): Promise<Prediction[]> {
    const docs = await this.predictions
      .find(toQuery(filter, page.before), listHint(filter))
      .project<PredictionDoc>({ 'outputs.values': 0, top: { $slice: LISTED_TOP_ROWS } })
      .sort({ _id: -1 })
      .limit(page.limit)
      .toArray();
    return docs.map(toPrediction);
  }

  /** With the values of outputs that are small together. */
  async listWithOutputs(
    filter: PredictionFilter,
    page: { readonly limit: number; readonly before?: string },
  ): Promise<Prediction[]> {
    const outputs = { $ifNull: ['$outputs', []] };
    const bytes = { $sum: { $map: { input: outputs, in: { $binarySize: '$$this.values' } } } };
    const isSmall = { $lte: [bytes, LISTED_OUTPUT_BYTES] };
    const docs = await this.predictions
      .aggregate<PredictionDoc>([
        { $match: toQuery(filter, page.before) },
        { $sort: { _id: -1 } },
        { $limit: page.limit },
        { $set: { outputs: { $cond: [isSmall, '$outputs', '$$REMOVE'] } } },
      ])
      .toArray();
    return docs.map(toPrediction);
  }

  /** How many there are, before a place if one is named, at most `limit`. */
  async count(
    filter: PredictionFilter,
    { before, limit }: { readonly before?: string; readonly limit: number },
  ): Promise<number> {
    return await this.predictions.countDocuments(toQuery(filter, before), {
      limit,
      ...listHint(filter),
    });
  }

  /**
   * How many there are of each version, best label, hour or status. A prediction of several rows
   * counts once for each label that one of them has. Hours are those of the ids, which grow in
   * whole seconds, so that no document has to be read for them.
   */
  async countBy(by: CountedBy, filter: PredictionFilter): Promise<PredictionCount[]> {
    const hour = { $dateTrunc: { date: { $toDate: '$_id' }, unit: 'hour' } };
    const value = { version: '$version', label: '$labels', status: '$status', hour }[by];
    const found = await this.predictions
      .aggregate<{ _id: number | string | Date; count: number }>(
        [
          { $match: toQuery(filter, undefined) },
          ...(by === 'label' ? [{ $unwind: '$labels' }] : []),
          { $group: { _id: value, count: { $sum: 1 } } },
          { $sort: { _id: 1 } },
          { $limit: MAX_GROUPS },
        ],
        // Left to itself, the planner can prefer to read everything when it is all of one model.
        { maxTimeMS: COUNT_TIMEOUT_MS, hint: countHint(by, filter) },
      )
      .toArray();
    return found.map(({ _id, count }) => ({
      value: _id instanceof Date ? _id.toISOString() : _id,
      count,
    }));
  }

  /** The newest predictions of which something was said, with the word that counts. */
  async *judged(
    filter: PredictionFilter,
    limit: number,
  ): AsyncGenerator<{ readonly prediction: Prediction; readonly truth: Truth }> {
    const cursor = this.predictions.aggregate<PredictionDoc & Joins>([
      { $match: toQuery(filter, undefined) },
      { $sort: { _id: -1 } },
      { $limit: limit },
      ...joinFeedback(),
      { $match: { 'feedbackDocs.0': { $exists: true } } },
    ]);
    for await (const found of cursor) {
      const { prediction, feedback } = unjoin(found);
      if (feedback) yield { prediction, truth: feedback.current };
    }
  }

  async findInputSummary(id: string, session?: ClientSession): Promise<InputSummary | null> {
    const found = await this.predictions.findOne(
      { _id: new ObjectId(id) },
      { projection: { input: 1 }, ...(session ? { session } : {}) },
    );
    return found ? toInputSummary(found.input) : null;
  }

  /** The newest record of a model that its setting condemns, and with it all before; null when none. */
  async findLast(
    model: string,
    { maxAgeDays, maxRecords }: RetentionSetting,
  ): Promise<ObjectId | null> {
    const newest = { sort: { _id: -1 }, projection: { _id: 1 } } as const;
    const ends: ObjectId[] = [];
    if (maxAgeDays !== undefined) {
      const limit = idAt(new Date(Date.now() - maxAgeDays * DAY_MS), 0);
      const found = await this.predictions.findOne({ model, _id: { $lt: limit } }, newest);
      if (found) ends.push(found._id);
    }
    if (maxRecords !== undefined) {
      const found = await this.predictions.findOne({ model }, { ...newest, skip: maxRecords });
      if (found) ends.push(found._id);
    }
    const [first, second] = ends;
    if (!first || !second) return first ?? null;
    return first.toHexString() > second.toHexString() ? first : second;
  }

  /** Oldest first, from behind `after`; reads an index only. */
  async listIds(
    { model, upTo }: CondemnedRecords,
    limit: number,
    after?: ObjectId,
  ): Promise<ObjectId[]> {
    const docs = await this.predictions
      .find({ model, _id: { $lte: upTo, ...(after ? { $gt: after } : {}) } })
      .project<{ _id: ObjectId }>({ _id: 1 })
      .sort({ _id: 1 })
      .limit(limit)
      .hint('model_newest')
      .toArray();
    return docs.map(({ _id }) => _id);
  }

  /** Removes records in the transaction of `session`. */
  async removeAll(
    ids: readonly ObjectId[],
    session: ClientSession,
  ): Promise<{ count: number; bytes: number; callerIds: string[] }> {
    const filter = { _id: { $in: [...ids] } };
    const [found] = await this.predictions
      .aggregate<{ bytes: number; callerIds: string[] }>(
        [
          { $match: filter },
          {
            $group: {
              _id: null,
              bytes: { $sum: { $bsonSize: '$$ROOT' } },
              callerIds: { $addToSet: '$callerId' },
            },
          },
        ],
        { session },
      )
      .toArray();
    const { deletedCount } = await this.predictions.deleteMany(filter, { session });
    return { count: deletedCount, bytes: found?.bytes ?? 0, callerIds: found?.callerIds ?? [] };
  }

  /** Under which of these ids a model still has predictions. */
  async callersAmong(
    model: string,
    callerIds: readonly string[],
    session: ClientSession,
  ): Promise<Set<string>> {
    if (callerIds.length === 0) return new Set();
    const found = await this.predictions
      .aggregate<{ _id: string }>(
        [
          { $match: { callerId: { $in: [...callerIds] }, model } },
          { $group: { _id: '$callerId' } },
        ],
        { session },
      )
      .toArray();
    return new Set(found.map(({ _id }) => _id));
  }

  /** How many records are condemned and not held, and what they take up. */
  async measure(
    condemned: readonly CondemnedRecords[],
    heldIds: readonly string[],
  ): Promise<{ count: number; bytes: number }> {
    if (condemned.length === 0) return { count: 0, bytes: 0 };
    const [sum] = await this.predictions
      .aggregate<{ count: number; bytes: number }>([
        { $match: condemnedQuery(condemned, heldIds) },
        { $group: { _id: null, count: { $sum: 1 }, bytes: { $sum: { $bsonSize: '$$ROOT' } } } },
      ])
      .toArray();
    return { count: sum?.count ?? 0, bytes: sum?.bytes ?? 0 };
  }

  /** One of these models that has a prediction made from an input. */
  async findModelAmong(
    digest: string,
    models: readonly string[],
    session: ClientSession,
  ): Promise<string | null> {
    if (models.length === 0) return null;
    const found = await this.predictions.findOne(
      { 'input.digest': digestBytes(digest), model: { $in: [...models] } },
      { projection: { model: 1 }, session },
    );
    return found?.model ?? null;
  }

  async countStored(model: string): Promise<number> {
    return await this.predictions.countDocuments({ model }, { hint: 'model_newest' });
  }

  async countMadeFrom(digest: string): Promise<number> {
    return await this.predictions.countDocuments({ 'input.digest': digestBytes(digest) });
  }

  /** A record, the document of its input, and what was said of it, in one round trip. */
  async findJoined(id: string): Promise<JoinedPrediction | null> {
    const [found] = await this.predictions
      .aggregate<PredictionDoc & Joins>([
        { $match: { _id: new ObjectId(id) } },
        JOIN_INPUT,
        ...joinFeedback(),
      ])
      .toArray();
    return found ? unjoin(found) : null;
  }

  /**
   * Records with what was said of them, oldest first, one reply of the database at a time. A
   * cursor that is lost, to a failover or to a reader who took long, is opened again behind the
   * last record.
   */
  async *stream(
    filter: PredictionFilter,
    after: string | undefined,
    withInputs: boolean,
  ): AsyncGenerator<JoinedPrediction> {
    let last = after;
    for (let failures = 0; ;) {
      try {
        const { $and } = toQuery(filter, undefined);
        const behind = last === undefined ? [] : [{ _id: { $gt: new ObjectId(last) } }];
        const cursor = this.predictions.aggregate<PredictionDoc & Joins>([
          { $match: { $and: [...$and, ...behind] } },
          { $sort: { _id: 1 } },
          ...(withInputs ? [JOIN_INPUT] : []),
          ...joinFeedback(),
        ]);
        for await (const found of cursor) {
          yield unjoin(found);
          last = found._id.toHexString();
          failures = 0;
        }
        return;
      } catch (error) {
        if (!isLostCursor(error) || ++failures > MAX_REOPENED) throw error;
      }
    }
  }
}

interface Joins {
  readonly inputDocs?: readonly InputDoc[];
  readonly feedbackDocs: readonly FeedbackDoc[];
}

/** Records that are to go. */
export function condemnedQuery(
  condemned: readonly CondemnedRecords[],
  heldIds: readonly string[],
): Filter<PredictionDoc> {
  const held = heldIds.map((id) => new ObjectId(id));
  return {
    $and: [
      { $or: condemned.map(({ model, upTo }) => ({ model, _id: { $lte: upTo } })) },
      { _id: { $nin: held } },
    ],
  };
}

const JOIN_INPUT = {
  $lookup: { from: 'inputs', localField: 'input.digest', foreignField: '_id', as: 'inputDocs' },
};

function unjoin({
  inputDocs,
  feedbackDocs,
  ...prediction
}: PredictionDoc & Joins): JoinedPrediction {
  const [input] = inputDocs ?? [];
  return {
    prediction: toPrediction(prediction),
    input: input ? toStoredInput(input) : null,
    feedback: latestFeedback(feedbackDocs),
  };
}

/** About what the document of a record takes, without encoding it. */
export function weighDoc({ outputs = {} }: Pick<RecordToStore, 'outputs'>): number {
  return Object.values(outputs).reduce((sum, { data }) => sum + data.byteLength, RECORD_BYTES);
}

/**
 * The index that leads past the fewest records that are not counted, and of those the one that
 * holds what is counted by, so that few documents have to be read.
 */
function countHint(by: CountedBy, filter: PredictionFilter): string {
  const { version, alias, label, status, callerId } = filter;
  if (callerId !== undefined) return 'caller_newest';
  if (status === 'failed') return failedIndex(filter, by);
  if (label !== undefined) return 'model_label_newest';
  if (alias !== undefined) return 'alias_newest';
  return by === 'version' || version !== undefined ? 'version_newest' : 'model_newest';
}

/**
 * What failed is rare, and the server does not know: at times it walks all records of a version to
 * find fifty of those.
 */
function listHint(filter: PredictionFilter): { hint?: string } {
  const { model, status, callerId } = filter;
  const isRare = model !== undefined && status === 'failed' && callerId === undefined;
  return isRare ? { hint: failedIndex(filter) } : {};
}

/** Which index of what failed of a model a filter is for. */
function failedIndex({ version, alias }: PredictionFilter, by?: CountedBy): string {
  if (version !== undefined) return 'version_failed_newest';
  if (alias !== undefined) return 'alias_failed_newest';
  return by === 'version' ? 'version_failed_newest' : 'model_failed_newest';
}

function toQuery(
  filter: PredictionFilter,
  before: string | undefined,
): { $and: Filter<PredictionDoc>[] } {
  const { since, until, label, ...equal } = filter;
  const conditions: Filter<PredictionDoc>[] = [{ ...equal }];
  if (label !== undefined) conditions.push({ labels: label });
  if (before !== undefined) conditions.push({ _id: { $lt: new ObjectId(before) } });
  // Times go to the index of ids, with a second of slack on both sides, because an id holds whole
  // seconds and is made a moment before or after `createdAt`.
  if (since) {
    conditions.push({ createdAt: { $gte: since }, _id: { $gte: idAt(since, -1) } });
  }
  if (until) conditions.push({ createdAt: { $lt: until }, _id: { $lt: idAt(until, 2) } });
  return { $and: conditions };
}

function idAt(time: Date, slackSeconds: number): ObjectId {
  const second = Math.floor(time.getTime() / 1000) + slackSeconds;
  return ObjectId.createFromTime(Math.min(Math.max(second, 0), LAST_SECOND));
}
