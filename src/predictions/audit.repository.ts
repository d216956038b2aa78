import assert from 'node:assert/strict';

import { Inject, Injectable } from '@nestjs/common';
import { type ClientSession, type Collection, type Db, ObjectId } from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';

/** Collection `audit`: what was taken away from the store, and why. Never the content itself. */
export interface AuditDoc {
  readonly _id: ObjectId;
  readonly action: 'input_erased';
  readonly digest: string;
  /** The prediction by which it was asked for. */
  readonly predictionId?: string;
  readonly reason?: string;
  readonly at: Date;
  /** Set once the last byte is gone; absent when the process died in between. */
  readonly doneAt?: Date;
}

/** Entries are written with what they tell of or before it, and completed after it; none is ever removed. */
@Injectable()
export class AuditRepository {
  private readonly audit: Collection<AuditDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.audit = db.collection('audit');
    schema.declare('audit', [
      { name: 'digest', key: { digest: 1, _id: -1 }, reason: 'what became of an input' },
    ]);
  }

  newId(): ObjectId {
    return new ObjectId();
  }

  /** Counts when the transaction of `session` does. */
  async begin(entry: Omit<AuditDoc, 'doneAt'>, session: ClientSession): Promise<void> {
    await this.audit.insertOne(entry, { session });
  }

  /** Safe to repeat: the first end counts. */
  async complete(_id: ObjectId): Promise<AuditDoc> {
    const update = [{ $set: { doneAt: { $ifNull: ['$doneAt', '$$NOW'] } } }];
    const doc = await this.audit.findOneAndUpdate({ _id }, update, { returnDocument: 'after' });
    assert(doc, 'entries of the audit are never removed');
    return doc;
  }
}
