import assert from 'node:assert/strict';

import { Inject, Injectable } from '@nestjs/common';
import { type ClientSession, type Collection, type Db, type Filter, ObjectId } from 'mongodb';

import { type RetentionSetting } from '../models/model.doc';
import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';

export const AUDIT_ACTIONS = [
  'input_erased',
  'erasure_imported',
  'records_removed',
  'inputs_freed',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** What a run of the retention took away. */
export interface RemovedCounts {
  readonly records: number;
  readonly feedback: number;
  readonly inputs: number;
  /** Of the records, or of the inputs, as they were stored. */
  readonly bytes: number;
}

/**
 * Collection `audit`: what was taken away from the store, or from the one that records came from,
 * and why. Never the content itself.
 */
export interface AuditDoc extends Partial<RemovedCounts> {
  readonly _id: ObjectId;
  readonly action: AuditAction;
  /** Of an erased input. */
  readonly digest?: string;
  /** The prediction by which it was asked for. */
  readonly predictionId?: string;
  readonly reason?: string;
  /** Whose records were removed, and by which setting. */
  readonly model?: string;
  readonly retention?: RetentionSetting;
  readonly at: Date;
  /** Set once the last byte is gone; absent when the process died in between. */
  readonly doneAt?: Date;
}

export interface AuditFilter {
  readonly action?: AuditAction;
  readonly model?: string;
  readonly digest?: string;
}

/** Entries are written with what they tell of or before it, and completed after it; none is ever removed. */
@Injectable()
export class AuditRepository {
  private readonly audit: Collection<AuditDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.audit = db.collection('audit');
    schema.declare('audit', [
      { name: 'digest', key: { digest: 1, _id: -1 }, reason: 'what became of an input' },
      {
        name: 'model',
        key: { model: 1, _id: -1 },
        partialFilterExpression: { model: { $exists: true } },
        reason: 'what became of the records of a model, and how many there were',
      },
      { name: 'action', key: { action: 1, _id: -1 }, reason: 'what was done of one kind' },
    ]);
  }

  newId(): ObjectId {
    return new ObjectId();
  }

  /** Counts when the transaction of `session` does. */
  async begin(entry: Omit<AuditDoc, 'doneAt'>, session: ClientSession): Promise<void> {
    await this.audit.insertOne(entry, { session });
  }

  /** What is over already; counts when the transaction of `session` does. */
  async addAll(entries: readonly AuditDoc[], session: ClientSession): Promise<void> {
    await this.audit.insertMany(entries, { session });
  }

  /** Adds to an entry, which begins with the first that is added; counts when the transaction does. */
  async add(
    { _id, ...entry }: Pick<AuditDoc, '_id' | 'action' | 'model' | 'retention' | 'at'>,
    counts: Partial<RemovedCounts>,
    session: ClientSession,
  ): Promise<void> {
    await this.audit.updateOne(
      { _id },
      { $setOnInsert: entry, $inc: counts },
      { upsert: true, session },
    );
  }

  /** Safe to repeat: the first end counts. */
  async complete(_id: ObjectId): Promise<AuditDoc> {
    const update = [{ $set: { doneAt: { $ifNull: ['$doneAt', '$$NOW'] } } }];
    const doc = await this.audit.findOneAndUpdate({ _id }, update, { returnDocument: 'after' });
    assert(doc, 'entries of the audit are never removed');
    return doc;
  }

  /** Newest first, from before `before`. */
  async list(filter: AuditFilter, limit: number, before?: string): Promise<AuditDoc[]> {
    const query: Filter<AuditDoc> = {
      ...filter,
      ...(before === undefined ? {} : { _id: { $lt: new ObjectId(before) } }),
    };
    return await this.audit.find(query).sort({ _id: -1 }).limit(limit).toArray();
  }

  /** All that was ever removed of a model's records. */
  async sumRemoved(model: string): Promise<Omit<RemovedCounts, 'inputs'>> {
    const [sum] = await this.audit
      .aggregate<Omit<RemovedCounts, 'inputs'>>([
        { $match: { model, action: 'records_removed' } },
        {
          $group: {
            _id: null,
            records: { $sum: '$records' },
            feedback: { $sum: '$feedback' },
            bytes: { $sum: '$bytes' },
          },
        },
        { $unset: '_id' },
      ])
      .toArray();
    return sum ?? { records: 0, feedback: 0, bytes: 0 };
  }
}
