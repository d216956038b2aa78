import { Inject, Injectable } from '@nestjs/common';
import { type ClientSession, type Collection, type Db, type Document, type Filter } from 'mongodb';

import { duplicateKeyIndex } from '../mongo/mongo-failure';
import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import { type ModelDoc, type ModelSummary, type RetentionSetting } from './model.doc';
import { ModelNotFoundError } from './models.errors';
import { type SortedSearch } from './sorted-search';
import { hasRoomFor, type TagChange, tagUpdate, tooManyTags } from './tag-change';

/** Which models to list. */
export interface ModelFilter {
  /** Start of the name, any case. */
  readonly prefix?: string;
  readonly tags: readonly { readonly key: string; readonly value: string }[];
}

/** What PATCH changes; `null` takes a setting away. */
export interface ModelChanges {
  readonly description?: string;
  readonly tags?: ModelDoc['tags'];
  readonly recording?: ModelDoc['recording'] | null;
  readonly batching?: ModelDoc['batching'] | null;
  readonly retention?: ModelDoc['retention'] | null;
}

const TAKEN_BACK_WITHIN_MS = 60_000;

@Injectable()
export class ModelsRepository {
  private readonly models: Collection<ModelDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.models = db.collection('models');
    schema.declare('models', [
      {
        name: 'newest_first',
        key: { deleted: 1, createdAt: -1, _id: -1 },
        reason: 'the list of models, newest first',
      },
      {
        name: 'retention',
        key: { retention: 1 },
        partialFilterExpression: { retention: { $exists: true } },
        reason: 'the models whose records are not kept for good, deleted ones included',
      },
      { name: 'tags', key: { 'tags.k': 1, 'tags.v': 1 }, reason: 'search by tag' },
    ]);
  }

  /**
   * Gives the next number of a model, which is created by its first. A deleted model starts anew
   * but for its numbers.
   */
  async nextVersion(model: string): Promise<number> {
    const isNew = { $ne: [{ $ifNull: ['$deleted', true] }, false] };
    const doc = await this.models.findOneAndUpdate(
      { _id: model },
      [
        {
          $set: {
            lastVersion: { $add: [{ $ifNull: ['$lastVersion', 0] }, 1] },
            description: { $ifNull: ['$description', ''] },
            tags: { $ifNull: ['$tags', []] },
            createdAt: { $cond: [isNew, '$$NOW', '$createdAt'] },
            firstVersion: {
              $cond: [isNew, { $add: [{ $ifNull: ['$lastVersion', 0] }, 1] }, '$firstVersion'],
            },
            updatedAt: '$$NOW',
            deleted: false,
          },
        },
      ],
      { upsert: true, returnDocument: 'after' },
    );
    return doc?.lastVersion ?? 1;
  }

  /**
   * Makes a model that has no version yet; a deleted one starts anew but for its numbers.
   *
   * @returns false when there is one of that name
   */
  async create(
    model: string,
    { description, tags }: Pick<ModelDoc, 'description' | 'tags'>,
  ): Promise<boolean> {
    try {
      await this.models.updateOne(
        { _id: model, deleted: true },
        [
          {
            $set: {
              lastVersion: { $ifNull: ['$lastVersion', 0] },
              firstVersion: { $add: [{ $ifNull: ['$lastVersion', 0] }, 1] },
              description: { $literal: description },
              tags: { $literal: tags },
              createdAt: '$$NOW',
              updatedAt: '$$NOW',
              deleted: false,
            },
          },
        ],
        { upsert: true },
      );
      return true;
    } catch (error) {
      // One that is not deleted does not match, and its name cannot be given a second time.
      if (duplicateKeyIndex(error) === undefined) throw error;
      return false;
    }
  }

  async find(model: string): Promise<ModelDoc | null> {
    return await this.models.findOne({ _id: model, deleted: false });
  }

  /** Every name, in order. */
  async listNames(): Promise<string[]> {
    const docs = await this.models.find({ deleted: false }, { projection: { _id: 1 } }).toArray();
    return docs.map(({ _id }) => _id).sort();
  }

  /** @throws ModelNotFoundError */
  async assertExists(model: string): Promise<void> {
    const filter = { _id: model, deleted: false };
    const found = await this.models.findOne(filter, { projection: { _id: 1 } });
    if (!found) throw modelNotFound(model);
  }

  /** @throws ModelNotFoundError */
  async getSummary(model: string): Promise<ModelSummary> {
    const [summary] = await this.summaries([{ $match: { _id: model, deleted: false } }]);
    if (!summary) throw modelNotFound(model);
    return summary;
  }

  async list(
    filter: ModelFilter,
    page: {
      readonly limit: number;
      readonly after?: { readonly createdAt: Date; readonly id: string };
    },
  ): Promise<ModelSummary[]> {
    return await this.summaries([
      { $match: toQuery(filter, page.after) },
      { $sort: { createdAt: -1, _id: -1 } },
      { $limit: page.limit },
    ]);
  }

  /** Models that are there, found and ordered in any way. */
  async search({ conditions, sort, limit }: SortedSearch): Promise<ModelSummary[]> {
    return await this.summaries([
      { $match: { $and: [{ deleted: false }, ...conditions] } },
      { $sort: sort },
      { $limit: limit },
    ]);
  }

  /** @throws ModelNotFoundError */
  async change(model: string, changes: ModelChanges): Promise<void> {
    const given = Object.entries(changes).filter(([, value]) => value !== undefined);
    const $set = Object.fromEntries(given.filter(([, value]) => value !== null));
    const $unset: Record<string, ''> = Object.fromEntries(
      given.filter(([, value]) => value === null).map(([key]) => [key, '']),
    );
    const { matchedCount } = await this.models.updateOne(
      { _id: model, deleted: false },
      { $set: { ...$set, updatedAt: new Date() }, $unset },
    );
    if (matchedCount === 0) throw modelNotFound(model);
  }

  /**
   * Sets one tag, or takes it away, whatever others do to the rest meanwhile.
   *
   * @throws ModelNotFoundError, TooManyTagsError
   */
  async changeTag(model: string, change: TagChange): Promise<void> {
    const filter = { _id: model, deleted: false };
    const { matchedCount } = await this.models.updateOne(
      { ...filter, ...hasRoomFor(change) },
      tagUpdate(change),
    );
    if (matchedCount === 1) return;
    await this.assertExists(model);
    throw tooManyTags(`Model ${model}`);
  }

  /** Models whose records are not kept for good, also where the model was deleted. */
  async listRetained(): Promise<ModelDoc[]> {
    return await this.models.find({ retention: { $exists: true } }).toArray();
  }

  /**
   * Says in the transaction of `session` that records go by this setting.
   *
   * @returns false when it is not the setting any more; it cannot change before the transaction ends
   */
  async markRetained(
    model: string,
    retention: RetentionSetting,
    session: ClientSession,
  ): Promise<boolean> {
    const filter = { _id: model, retention };
    const { matchedCount } = await this.models.updateOne(
      filter,
      { $currentDate: { retainedAt: true } },
      { session },
    );
    return matchedCount === 1;
  }

  /**
   * Leaves the document as the keeper of the numbers.
   *
   * @returns false when a number was given since `lastVersion` was read
   */
  async markDeleted(model: string, lastVersion: number): Promise<boolean> {
    const { matchedCount } = await this.models.updateOne(
      { _id: model, deleted: false, lastVersion },
      {
        $set: { deleted: true, description: '', tags: [], updatedAt: new Date() },
        $unset: { recording: '', batching: '' },
      },
    );
    return matchedCount === 1;
  }

  /**
   * The highest numbers that went with a deletion of their model, by model. Deletions of the last
   * minute are left out: they may be taken back.
   */
  async listDeletedNumbers(): Promise<ReadonlyMap<string, number>> {
    const docs = await this.models
      .find({
        $or: [{ deleted: true }, { firstVersion: { $gt: 1 } }],
        $expr: { $lt: ['$updatedAt', { $subtract: ['$$NOW', TAKEN_BACK_WITHIN_MS] }] },
      })
      .toArray();
    return new Map(
      docs.map(({ _id, deleted, firstVersion, lastVersion }) => [
        _id,
        deleted ? lastVersion : firstVersion - 1,
      ]),
    );
  }

  /** Takes a deletion back that turned out to be wrong before anything was removed. */
  async unmarkDeleted(model: string, lastVersion: number): Promise<void> {
    await this.models.updateOne({ _id: model, lastVersion }, { $set: { deleted: false } });
  }

  private async summaries(stages: Document[]): Promise<ModelSummary[]> {
    return await this.models
      .aggregate<ModelSummary>([
        ...stages,
        {
          $lookup: {
            from: 'versions',
            localField: '_id',
            foreignField: 'model',
            pipeline: [
              { $match: { state: 'ready' } },
              { $group: { _id: null, count: { $sum: 1 }, latest: { $max: '$version' } } },
            ],
            as: 'ready',
          },
        },
        {
          $lookup: {
            from: 'aliasMoves',
            localField: '_id',
            foreignField: 'model',
            pipeline: [
              { $sort: { alias: 1, revision: -1 } },
              { $group: { _id: '$alias', version: { $first: '$version' } } },
              { $match: { version: { $ne: null } } },
              { $sort: { _id: 1 } },
              { $project: { _id: 0, k: '$_id', v: '$version' } },
            ],
            as: 'pointers',
          },
        },
        {
          $set: {
            readyVersions: { $ifNull: [{ $first: '$ready.count' }, 0] },
            latestReady: { $ifNull: [{ $first: '$ready.latest' }, null] },
            aliases: { $arrayToObject: '$pointers' },
          },
        },
        { $unset: ['ready', 'pointers'] },
      ])
      .toArray();
  }
}

function modelNotFound(model: string): ModelNotFoundError {
  return new ModelNotFoundError(`There is no model ${model}`, { model });
}

function toQuery(
  filter: ModelFilter,
  after?: { readonly createdAt: Date; readonly id: string },
): Filter<ModelDoc> {
  const conditions: Filter<ModelDoc>[] = filter.tags.map(({ key, value }) => ({
    tags: { $elemMatch: { k: key, v: value } },
  }));
  if (filter.prefix !== undefined) {
    // Escaped: text to find, never a pattern of the caller's.
    conditions.push({ _id: { $regex: `^${escapeRegex(filter.prefix)}`, $options: 'i' } });
  }
  if (after) {
    conditions.push({
      $or: [
        { createdAt: { $lt: after.createdAt } },
        { createdAt: after.createdAt, _id: { $lt: after.id } },
      ],
    });
  }
  return { deleted: false, ...(conditions.length > 0 ? { $and: conditions } : {}) };
}

function escapeRegex(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
