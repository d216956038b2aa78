import { Inject, Injectable } from '@nestjs/common';
import { type Collection, type Db, type Document, type Filter, ObjectId } from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import { type JobDoc, type JobKind, type JobProgress, type JobState } from './job.doc';

/** How long a job may show no sign of life before another process takes it over. */
export const LEASE_MS = 15_000;

/** Jobs that ended stay this long. */
const KEPT_SECONDS = 90 * 24 * 3600;

/** How a job ends. */
export interface JobEnd {
  readonly state: Extract<JobState, 'done' | 'failed' | 'cancelled'>;
  readonly progress?: JobProgress;
  readonly report?: Document;
  readonly failure?: { readonly code: string; readonly message: string };
}

@Injectable()
export class JobsRepository {
  private readonly jobs: Collection<JobDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.jobs = db.collection('jobs');
    schema.declare('jobs', [
      {
        name: 'open',
        key: { leaseUntil: 1 },
        reason: 'what waits or whose holder died',
        partialFilterExpression: { finishedAt: null },
      },
      { name: 'model_newest', key: { model: 1, _id: -1 }, reason: 'jobs of a model, newest first' },
      {
        name: 'kept',
        key: { finishedAt: 1 },
        reason: 'jobs that ended go after a while',
        expireAfterSeconds: KEPT_SECONDS,
      },
    ]);
  }

  async create(kind: JobKind, model: string, params: Document): Promise<JobDoc> {
    const doc: JobDoc = {
      _id: new ObjectId(),
      kind,
      model,
      state: 'waiting',
      params,
      progress: { done: 0, total: 0 },
      checkpoint: null,
      report: null,
      failure: null,
      holder: null,
      leaseUntil: null,
      createdAt: new Date(),
      startedAt: null,
      finishedAt: null,
    };
    await this.jobs.insertOne(doc);
    return doc;
  }

  async find(id: string): Promise<JobDoc | null> {
    return await this.jobs.findOne({ _id: new ObjectId(id) });
  }

  async list(
    filter: { readonly model?: string; readonly state?: JobState },
    page: { readonly limit: number; readonly before?: string },
  ): Promise<JobDoc[]> {
    const query: Filter<JobDoc> = {
      ...filter,
      ...(page.before === undefined ? {} : { _id: { $lt: new ObjectId(page.before) } }),
    };
    return await this.jobs
      .find(query, { projection: { checkpoint: 0 } })
      .sort({ _id: -1 })
      .limit(page.limit)
      .toArray();
  }

  /** The newest job of a model that ended well and was asked for this. */
  async findNewestDone(model: string, params: Document): Promise<JobDoc | null> {
    const asked = Object.entries(params).map(([key, value]) => [`params.${key}`, value as unknown]);
    return await this.jobs.findOne(
      { model, state: 'done', ...(Object.fromEntries(asked) as Document) },
      { sort: { _id: -1 } },
    );
  }

  /** Takes a job that waits, or whose holder has not been heard of; oldest first. */
  async claim(holder: string): Promise<JobDoc | null> {
    return await this.jobs.findOneAndUpdate(
      {
        finishedAt: null,
        $or: [{ leaseUntil: null }, { $expr: { $lt: ['$leaseUntil', '$$NOW'] } }],
      },
      [
        {
          $set: {
            state: 'running',
            holder,
            // The server's clock: leases must not depend on machines agreeing.
            leaseUntil: { $add: ['$$NOW', LEASE_MS] },
            startedAt: { $ifNull: ['$startedAt', '$$NOW'] },
          },
        },
      ],
      { sort: { _id: 1 }, returnDocument: 'after' },
    );
  }

  /** @returns false when the job is no longer the holder's: taken over, or cancelled */
  async saveProgress(
    id: ObjectId,
    holder: string,
    progress: JobProgress,
    checkpoint: Document,
  ): Promise<boolean> {
    const { matchedCount } = await this.jobs.updateOne({ _id: id, holder, finishedAt: null }, [
      {
        $set: {
          progress: { $literal: progress },
          checkpoint: { $literal: checkpoint },
          leaseUntil: { $add: ['$$NOW', LEASE_MS] },
        },
      },
    ]);
    return matchedCount > 0;
  }

  /** @returns false when the job is no longer the holder's */
  async finish(id: ObjectId, holder: string, end: JobEnd): Promise<boolean> {
    const { matchedCount } = await this.jobs.updateOne(
      { _id: id, holder, finishedAt: null },
      {
        $set: { ...end, finishedAt: new Date(), checkpoint: null, holder: null, leaseUntil: null },
      },
    );
    return matchedCount > 0;
  }

  /** Gives a job back, to be gone on with by whoever is next. */
  async release(id: ObjectId, holder: string): Promise<void> {
    await this.jobs.updateOne(
      { _id: id, holder, finishedAt: null },
      { $set: { state: 'waiting', holder: null, leaseUntil: null } },
    );
  }

  /** @returns false when it has ended */
  async cancel(id: string): Promise<boolean> {
    const { matchedCount } = await this.jobs.updateOne(
      { _id: new ObjectId(id), finishedAt: null },
      {
        $set: {
          state: 'cancelled',
          finishedAt: new Date(),
          checkpoint: null,
          holder: null,
          leaseUntil: null,
        },
      },
    );
    return matchedCount > 0;
  }
}
