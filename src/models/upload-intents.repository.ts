import { Inject, Injectable } from '@nestjs/common';
import { type ClientSession, type Collection, type Db, type Filter, type ObjectId } from 'mongodb';

import { uploadOf } from '../artifacts/blob.store';
import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';

/**
 * Collection `uploadIntents`: a promise to finish one upload, written before its first chunk.
 *
 * It stands for every blob whose id is made from its own. While the lease runs nobody touches
 * them, nor the blobs of others in `uses`; when it ran out they belong to the reaper, as far as no
 * version names them.
 */
export interface UploadIntentDoc {
  /** The upload; ids of its blobs begin like this one. */
  readonly _id: ObjectId;
  readonly model: string;
  readonly leaseUntil: Date;
  /** Blobs of others that the upload relies on. */
  readonly uses: readonly ObjectId[];
  /** Set when the upload is over, or the reaper has taken it over: from then on it holds nothing. */
  readonly reaping?: boolean;
}

/** An upload that gave no sign of life for too long, or came to its end. */
export type EndedUpload = Pick<UploadIntentDoc, '_id' | 'uses'>;

/** How long an upload may give no sign of life. */
export const LEASE_MS = 30_000;

@Injectable()
export class UploadIntentsRepository {
  private readonly intents: Collection<UploadIntentDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.intents = db.collection('uploadIntents');
    schema.declare('uploadIntents', [
      { name: 'lease', key: { leaseUntil: 1 }, reason: 'the reaper looks for leases that ran out' },
      { name: 'uses', key: { uses: 1 }, reason: 'whether an upload relies on a blob' },
    ]);
  }

  async open(uploadId: ObjectId, model: string): Promise<void> {
    // The server's clock, here and below: leases must not depend on two machines agreeing.
    await this.intents.updateOne(
      { _id: uploadId },
      [{ $set: { model, uses: [], leaseUntil: leaseEnd() } }],
      { upsert: true },
    );
  }

  /** @returns false when the upload was taken over */
  async use(uploadId: ObjectId, blobs: readonly ObjectId[]): Promise<boolean> {
    const { matchedCount } = await this.intents.updateOne(held(uploadId), {
      $push: { uses: { $each: [...blobs] } },
    });
    return matchedCount === 1;
  }

  /** @returns false when the upload was taken over */
  async renew(uploadId: ObjectId, session?: ClientSession): Promise<boolean> {
    const { matchedCount } = await this.intents.updateOne(
      held(uploadId),
      [{ $set: { leaseUntil: leaseEnd() } }],
      session ? { session } : {},
    );
    return matchedCount === 1;
  }

  /** Declares an upload over: what it wrote and used is held by versions alone from here on. */
  async end(uploadId: ObjectId): Promise<void> {
    await this.intents.updateOne({ _id: uploadId }, { $set: { reaping: true } });
  }

  async release(uploadId: ObjectId): Promise<void> {
    await this.intents.deleteOne({ _id: uploadId });
  }

  /**
   * Takes one upload over whose lease ran out, or any upload when nobody else can be writing: from
   * then on its writer cannot renew, and finds out before it publishes.
   */
  async claimAbandoned(soleOwner: boolean): Promise<EndedUpload | null> {
    const ranOut: Filter<UploadIntentDoc> = soleOwner
      ? {}
      : { $expr: { $lt: ['$leaseUntil', '$$NOW'] } };
    return await this.intents.findOneAndUpdate(
      ranOut,
      { $set: { reaping: true } },
      { projection: { uses: 1 }, returnDocument: 'after' },
    );
  }

  /** Which of the blobs an upload that is under way writes or uses, as hex ids. */
  async heldAmong(blobs: readonly ObjectId[]): Promise<ReadonlySet<string>> {
    const uploads = new Map(
      blobs.map((blob) => {
        const upload = uploadOf(blob);
        return [upload.toHexString(), upload] as const;
      }),
    );
    const docs = await this.intents
      .aggregate<EndedUpload>([
        {
          $match: {
            reaping: { $ne: true },
            $or: [{ _id: { $in: [...uploads.values()] } }, { uses: { $in: [...blobs] } }],
          },
        },
        { $project: { uses: { $setIntersection: ['$uses', [...blobs]] } } },
      ])
      .toArray();
    const writing = new Set(docs.map(({ _id }) => _id.toHexString()));
    const ids = docs.flatMap(({ uses }) => uses.map((id) => id.toHexString()));
    const written = blobs.filter((blob) => writing.has(uploadOf(blob).toHexString()));
    return new Set([...ids, ...written.map((id) => id.toHexString())]);
  }
}

function held(uploadId: ObjectId): Filter<UploadIntentDoc> {
  return { _id: uploadId, reaping: { $ne: true } };
}

function leaseEnd(): object {
  return { $add: ['$$NOW', LEASE_MS] };
}
