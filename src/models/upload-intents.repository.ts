import { Inject, Injectable } from '@nestjs/common';
import { type Collection, type Db, type Filter, type ObjectId } from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';

/**
 * Collection `uploadIntents`: a promise to finish one stored file, written before its first chunk.
 *
 * While the lease runs nobody touches the chunks; when it ran out they belong to the reaper,
 * unless a ready version names them.
 */
export interface UploadIntentDoc {
  /** Id of the GridFS file. */
  readonly _id: ObjectId;
  readonly uploadId: string;
  readonly model: string;
  readonly leaseUntil: Date;
  /** Set when the reaper has taken the upload over. */
  readonly reaping?: boolean;
}

/** How long an upload may give no sign of life. */
export const LEASE_MS = 30_000;

@Injectable()
export class UploadIntentsRepository {
  private readonly intents: Collection<UploadIntentDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.intents = db.collection('uploadIntents');
    schema.declare('uploadIntents', [
      { name: 'lease', key: { leaseUntil: 1 }, reason: 'the reaper looks for leases that ran out' },
      { name: 'upload', key: { uploadId: 1 }, reason: 'renewal and release of a whole upload' },
    ]);
  }

  async open(fileId: ObjectId, uploadId: string, model: string): Promise<void> {
    // The server's clock, here and below: leases must not depend on two machines agreeing.
    await this.intents.updateOne(
      { _id: fileId },
      [{ $set: { uploadId, model, leaseUntil: leaseEnd() } }],
      { upsert: true },
    );
  }

  /** @returns how many intents of the upload are still held */
  async renew(uploadId: string): Promise<number> {
    const { matchedCount } = await this.intents.updateMany({ uploadId, reaping: { $ne: true } }, [
      { $set: { leaseUntil: leaseEnd() } },
    ]);
    return matchedCount;
  }

  async release(uploadId: string): Promise<void> {
    await this.intents.deleteMany({ uploadId });
  }

  /**
   * Takes one upload over whose lease ran out, or any upload when nobody else can be writing: from
   * then on its writer cannot renew, and finds out before it publishes.
   */
  async claimAbandoned(soleOwner: boolean): Promise<string | null> {
    const ranOut: Filter<UploadIntentDoc> = soleOwner
      ? {}
      : { $expr: { $lt: ['$leaseUntil', '$$NOW'] } };
    const intent = await this.intents.findOne(ranOut);
    if (!intent) return null;
    const { uploadId } = intent;
    const { matchedCount } = await this.intents.updateMany(
      { uploadId, ...ranOut },
      { $set: { reaping: true } },
    );
    return matchedCount > 0 ? uploadId : null;
  }

  async listFiles(uploadId: string): Promise<ObjectId[]> {
    const docs = await this.intents.find({ uploadId }, { projection: { _id: 1 } }).toArray();
    return docs.map(({ _id }) => _id);
  }
}

function leaseEnd(): object {
  return { $add: ['$$NOW', LEASE_MS] };
}
