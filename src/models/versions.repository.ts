import { Inject, Injectable } from '@nestjs/common';
import {
  type ClientSession,
  type Collection,
  type Db,
  type Document,
  type Filter,
  type ObjectId,
} from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import { duplicateKeyIndex } from '../mongo/mongo-failure';
import { VersionNotFoundError } from './models.errors';
import { type SortedSearch } from './sorted-search';
import { hasRoomFor, type TagChange, tagUpdate, tooManyTags } from './tag-change';
import { neededBlobs, type VersionDoc, type VersionListing } from './version.doc';
import {
  type CompiledRef,
  type EngineReports,
  type LoadableVersion,
  type VersionState,
} from './version';
import { type Signature } from '../common/tensor';

/** What the test load adds to a version as it becomes ready. */
export interface ReadyFacts {
  readonly signature: Signature;
  readonly engines: EngineReports;
  readonly warnings: readonly string[];
  readonly loadedBytes: number;
}

/** Which versions to list; every field narrows. */
export interface VersionFilter {
  readonly states: readonly VersionState[];
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  readonly metrics: readonly MetricCondition[];
  readonly since?: Date;
}

/** A version without all that it is made of. */
export type VersionFate = Pick<VersionDoc, 'version' | 'state' | 'format' | 'failure'>;

/** The same with its model, where all are listed. */
export type VersionInState = VersionFate & Pick<VersionDoc, 'model'>;

/** E.g. `accuracy>=0.9`. */
export interface MetricCondition {
  readonly name: string;
  readonly operator: '=' | '>' | '>=' | '<' | '<=';
  readonly value: number;
}

/** Newest or oldest first; numbers grow with time, so they order both. */
export const SORTS = ['-version', 'version', '-createdAt', 'createdAt'] as const;
export type VersionSort = (typeof SORTS)[number];

export interface VersionPage {
  readonly limit: number;
  readonly sort: VersionSort;
  /** The number that the page before ended with. */
  readonly after?: number;
}

/** Versions that are looked at together for the blobs that they name. */
const NAMING_VERSIONS = 20;

/** References to blobs are most of a document, and no list shows them. */
const WITHOUT_BYTES = { files: 0, blobs: 0, compiled: 0 } as const;

const MONGO_OPERATOR = { '=': '$eq', '>': '$gt', '>=': '$gte', '<': '$lt', '<=': '$lte' } as const;

export function versionId(model: string, version: number): string {
  return `${model}/${version}`;
}

/**
 * Documents of versions.
 *
 * Every change of state is one update that names the state it comes from, so of two that race
 * only one happens.
 */
@Injectable()
export class VersionsRepository {
  private readonly versions: Collection<VersionDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.versions = db.collection('versions');
    schema.declare('versions', [
      {
        name: 'model_version',
        key: { model: 1, version: -1 },
        unique: true,
        reason: 'a number is given once (14); lists of a model, newest first',
      },
      {
        name: 'model_digest',
        key: { model: 1, digestClaim: 1 },
        unique: true,
        partialFilterExpression: { digestClaim: { $exists: true } },
        reason: 'equal content is one version, also when two uploads race',
      },
      { name: 'upload', key: { uploadId: 1 }, reason: 'the reaper asks what an upload became' },
      {
        name: 'model_tags',
        key: { model: 1, 'tags.k': 1, 'tags.v': 1 },
        reason: 'search by tag',
      },
      {
        name: 'model_metrics',
        key: { model: 1, 'metrics.k': 1, 'metrics.v': 1 },
        reason: 'search by metric',
      },
      {
        name: 'deleting',
        key: { state: 1 },
        partialFilterExpression: { state: 'deleting' },
        reason: 'deletions that a crash cut off',
      },
      { name: 'pins', key: { pins: 1 }, reason: 'what an alias of any model points at' },
      { name: 'blobs', key: { blobs: 1 }, reason: 'whether stored bytes are referenced' },
    ]);
  }

  /** The versions that an alias of that name points at, of all models. */
  async listPinnedBy(alias: string): Promise<VersionDoc[]> {
    return await this.versions.find({ pins: alias, state: 'ready' }).toArray();
  }

  /** @returns false when another live version of the model has the same digest */
  async reserve(doc: VersionDoc): Promise<boolean> {
    try {
      await this.versions.insertOne(doc);
      return true;
    } catch (error) {
      if (duplicateKeyIndex(error) === 'model_digest') return false;
      throw error;
    }
  }

  async find(model: string, version: number): Promise<VersionDoc | null> {
    return await this.versions.findOne({ _id: versionId(model, version) });
  }

  async findState(model: string, version: number): Promise<VersionState | null> {
    const filter = { _id: versionId(model, version) };
    return (await this.versions.findOne(filter, { projection: { state: 1 } }))?.state ?? null;
  }

  /** @throws VersionNotFoundError also for a version that was deleted, whatever is left of it */
  async get(model: string, version: number): Promise<VersionDoc> {
    const doc = await this.find(model, version);
    if (!doc || doc.state === 'deleting' || doc.state === 'deleted') {
      throw new VersionNotFoundError(`Model ${model} has no version ${version}`, {
        model,
        version,
      });
    }
    return doc;
  }

  /** What lists say of versions, in no order; those that are gone are left out. */
  async findListings(ids: readonly string[]): Promise<VersionListing[]> {
    if (ids.length === 0) return [];
    return await this.versions
      .find({ _id: { $in: [...ids] }, state: { $nin: ['deleting', 'deleted'] } })
      .project<VersionListing>(WITHOUT_BYTES)
      .toArray();
  }

  /**
   * Versions of all models that are not gone, found and ordered in any way. What a document leaves
   * out is filled in: the time of its last change, and its source by `sourceOf`, an expression.
   */
  async search(
    { conditions, sort, limit }: SortedSearch,
    sourceOf: Document,
  ): Promise<VersionListing[]> {
    return await this.versions
      .aggregate<VersionListing>([
        { $match: { state: { $nin: ['deleting', 'deleted'] } } },
        { $project: WITHOUT_BYTES },
        {
          $set: {
            updatedAt: { $ifNull: ['$updatedAt', '$readyAt', '$createdAt'] },
            'origin.source': { $ifNull: ['$origin.source', sourceOf] },
          },
        },
        { $match: conditions.length > 0 ? { $and: [...conditions] } : {} },
        { $sort: sort },
        { $limit: limit },
      ])
      .toArray();
  }

  /** What became of each version that was not deleted, newest first; of one where it is named. */
  async listFates(model: string, version?: number): Promise<VersionFate[]> {
    return await this.versions
      .find(
        {
          model,
          ...(version === undefined ? {} : { version }),
          state: { $nin: ['deleting', 'deleted'] },
        },
        { projection: { _id: 0, version: 1, state: 1, format: 1, failure: 1 } },
      )
      .sort({ version: -1 })
      .toArray();
  }

  async findByDigest(model: string, digest: string): Promise<VersionDoc | null> {
    return await this.versions.findOne({ model, digestClaim: digest });
  }

  async findByUpload(uploadId: string): Promise<VersionDoc | null> {
    return await this.versions.findOne({ uploadId });
  }

  async list(model: string, filter: VersionFilter, page: VersionPage): Promise<VersionDoc[]> {
    const direction = isAscending(page.sort) ? 1 : -1;
    return await this.versions
      .find(toQuery(model, filter, page))
      .sort({ version: direction })
      .limit(page.limit)
      .toArray();
  }

  /** The newest version of a model whose bytes were proven. */
  /** In which state the versions of all models are, or of one; deleted ones left out. */
  async listStates(limit: number, model?: string): Promise<VersionInState[]> {
    return await this.versions
      .find({ state: { $ne: 'deleted' }, ...(model === undefined ? {} : { model }) })
      .project<VersionInState>({ _id: 0, model: 1, version: 1, state: 1, format: 1, failure: 1 })
      .sort({ model: 1, version: -1 })
      .limit(limit)
      .toArray();
  }

  /** The numbers of a model's ready versions, newest first. */
  async listReadyNumbers(model: string): Promise<number[]> {
    const found = this.versions
      .find({ model, state: 'ready' })
      .project<Pick<VersionDoc, 'version'>>({ _id: 0, version: 1 })
      .sort({ version: -1 });
    return (await found.toArray()).map(({ version }) => version);
  }

  async findNewestReady(model: string): Promise<VersionDoc | null> {
    return await this.versions.findOne({ model, state: 'ready' }, { sort: { version: -1 } });
  }

  /** Sets what became known as its blobs were sealed: where others already had the same content. */
  async markVerifying(
    id: string,
    uploadId: string,
    stored: Partial<Pick<VersionDoc, 'files' | 'blobs' | 'storedBytes' | 'addedBytes'>>,
  ): Promise<boolean> {
    return await this.change(
      id,
      { state: 'pending', uploadId },
      { $set: { state: 'verifying', ...stored } },
    );
  }

  /** The commit point of a publish: one document, from invisible to served. */
  async markReady(
    { _id, uploadId, files }: Pick<VersionDoc, '_id' | 'uploadId' | 'files'>,
    facts: ReadyFacts,
    compiled: CompiledRef | undefined,
  ): Promise<boolean> {
    const stored = compiled ? { compiled, blobs: neededBlobs({ files, compiled }) } : {};
    return await this.change(
      _id,
      { state: 'verifying', uploadId },
      { $set: { state: 'ready', readyAt: new Date(), ...facts, ...stored } },
    );
  }

  async markFailed(
    id: string,
    uploadId: string,
    failure: { readonly code: string; readonly message: string },
  ): Promise<boolean> {
    return await this.change(
      id,
      { state: { $in: ['pending', 'verifying'] }, uploadId },
      {
        // Its bytes go with it: what the database no longer holds is not counted.
        $set: { state: 'failed', failure, storedBytes: 0, addedBytes: 0 },
        $unset: { digestClaim: '', blobs: '' },
      },
    );
  }

  /**
   * Lets go of a version's bytes, which then belong to whoever else names them, or to nobody.
   *
   * @returns all that it named: since it is being deleted nothing is added to that any more
   */
  async releaseBlobs(id: string): Promise<ObjectId[]> {
    const filter = { _id: id, state: 'deleting' } as const;
    await this.versions.updateOne(filter, { $unset: { blobs: '' } });
    const doc = await this.versions.findOne(filter);
    return doc ? neededBlobs(doc) : [];
  }

  /** Which of the blobs a version needs, as hex ids. */
  async namedAmong(blobs: readonly ObjectId[]): Promise<ReadonlySet<string>> {
    return await this.amongBlobs(blobs, {});
  }

  /** Which of the blobs a ready version needs, as hex ids: they were read back, or loaded, at least once. */
  async provenAmong(blobs: readonly ObjectId[]): Promise<ReadonlySet<string>> {
    return await this.amongBlobs(blobs, { state: 'ready' });
  }

  private async amongBlobs(
    blobs: readonly ObjectId[],
    filter: Filter<VersionDoc>,
  ): Promise<ReadonlySet<string>> {
    const named = new Set<string>();
    for (let open = [...blobs]; open.length > 0;) {
      // A few at a time: versions that share one blob mostly share many.
      const docs = await this.versions
        .aggregate<{ blobs: ObjectId[] }>([
          { $match: { ...filter, blobs: { $in: open } } },
          { $limit: NAMING_VERSIONS },
          { $project: { _id: 0, blobs: { $setIntersection: ['$blobs', open] } } },
        ])
        .toArray();
      if (docs.length === 0) break;
      for (const doc of docs) for (const id of doc.blobs) named.add(id.toHexString());
      open = open.filter((id) => !named.has(id.toHexString()));
    }
    return named;
  }

  async markQuarantined(
    id: string,
    failure: { readonly code: string; readonly message: string },
  ): Promise<boolean> {
    return await this.change(
      id,
      { state: 'ready' },
      {
        $set: { state: 'quarantined', failure },
        // The same content can be uploaded again, as a new version.
        $unset: { digestClaim: '' },
      },
    );
  }

  /**
   * Replaces what was measured, and the compiled form; nothing that the digest covers. Counts when
   * the transaction of `session` does.
   *
   * @returns the version as it was; null when it is not ready any more, and stays as it is
   */
  async setEngines(
    { model, version, files, engines, compiled }: LoadableVersion,
    session: ClientSession,
  ): Promise<VersionDoc | null> {
    const blobs = neededBlobs({ files, compiled });
    return await this.versions.findOneAndUpdate(
      { _id: versionId(model, version), state: 'ready' },
      compiled
        ? { $set: { engines, blobs, compiled } }
        : { $set: { engines, blobs }, $unset: { compiled: '' } },
      { returnDocument: 'before', session },
    );
  }

  /** Takes a version out of sight for good, unless an alias holds it. */
  async markDeleting(id: string): Promise<boolean> {
    return await this.change(
      id,
      { state: { $in: ['ready', 'quarantined', 'failed'] }, pins: { $size: 0 } },
      [{ $set: { state: 'deleting', deletingAt: '$$NOW' } }, { $unset: 'digestClaim' }],
    );
  }

  /** Versions that were deleted at least so long ago, by the server's clock, and still have bytes. */
  async listDeleting(graceMs: number): Promise<VersionDoc[]> {
    return await this.versions
      .find({
        state: 'deleting',
        $expr: { $lte: ['$deletingAt', { $subtract: ['$$NOW', graceMs] }] },
      })
      .toArray();
  }

  async markDeleted(id: string): Promise<boolean> {
    return await this.change(id, { state: 'deleting' }, { $set: { state: 'deleted' } });
  }

  async describe(
    id: string,
    changes: Partial<Pick<VersionDoc, 'description' | 'tags' | 'metrics'>>,
  ): Promise<VersionDoc | null> {
    return await this.versions.findOneAndUpdate(
      { _id: id, state: { $nin: ['deleting', 'deleted'] } },
      { $set: { ...changes, updatedAt: new Date() } },
      { returnDocument: 'after' },
    );
  }

  /**
   * Sets one tag, or takes it away, whatever others do to the rest meanwhile.
   *
   * @throws VersionNotFoundError, TooManyTagsError
   */
  async changeTag(model: string, version: number, change: TagChange): Promise<void> {
    const filter = { state: { $nin: ['deleting', 'deleted'] as const }, ...hasRoomFor(change) };
    const { matchedCount } = await this.versions.updateOne(
      { _id: versionId(model, version), ...filter },
      tagUpdate(change),
    );
    if (matchedCount === 1) return;
    await this.get(model, version);
    throw tooManyTags(`Version ${version} of ${model}`);
  }

  private async change(
    id: string,
    from: Filter<VersionDoc>,
    update: Parameters<Collection<VersionDoc>['updateOne']>[1],
  ): Promise<boolean> {
    const { matchedCount } = await this.versions.updateOne({ _id: id, ...from }, update);
    return matchedCount === 1;
  }
}

function isAscending(sort: VersionSort): boolean {
  return !sort.startsWith('-');
}

function toQuery(model: string, filter: VersionFilter, page: VersionPage): Filter<VersionDoc> {
  const pairs = [
    ...filter.tags.map(({ key, value }) => ({ tags: { $elemMatch: { k: key, v: value } } })),
    ...filter.metrics.map(({ name, operator, value }) => ({
      metrics: { $elemMatch: { k: name, v: { [MONGO_OPERATOR[operator]]: value } } },
    })),
  ];
  return {
    model,
    state: { $in: filter.states },
    ...(page.after === undefined
      ? {}
      : { version: isAscending(page.sort) ? { $gt: page.after } : { $lt: page.after } }),
    ...(filter.since ? { createdAt: { $gte: filter.since } } : {}),
    ...(pairs.length > 0 ? { $and: pairs } : {}),
  };
}
