import { Inject, Injectable } from '@nestjs/common';
import { type Collection, type Db, ObjectId } from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';

/** What the bytes of a version are being read for. */
export type LeasePurpose = 'load' | 'download' | 'archive';

/**
 * Collection `versionLeases`: somebody is reading the bytes of a version.
 *
 * Written before the first byte is read, renewed meanwhile, taken away afterwards; what a crash
 * leaves behind runs out by itself. Times are the server's.
 */
export interface VersionLeaseDoc {
  readonly _id: ObjectId;
  /** `<model>/<version>` */
  readonly version: string;
  readonly purpose: LeasePurpose;
  /** `<host>:<pid>` of the reading process. */
  readonly holder: string;
  readonly until: Date;
}

/** How long a reader may give no sign of life. */
export const VERSION_LEASE_MS = 60_000;

@Injectable()
export class VersionLeasesRepository {
  private readonly leases: Collection<VersionLeaseDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.leases = db.collection('versionLeases');
    schema.declare('versionLeases', [
      { name: 'version', key: { version: 1 }, reason: 'a deletion asks who reads a version' },
      {
        name: 'expiry',
        key: { until: 1 },
        expireAfterSeconds: 0,
        reason: 'leases of readers that died go by themselves',
      },
    ]);
  }

  async take(version: string, purpose: LeasePurpose, holder: string): Promise<ObjectId> {
    const _id = new ObjectId();
    await this.leases.updateOne(
      { _id },
      [{ $set: { version: { $literal: version }, purpose, holder, until: leaseEnd() } }],
      { upsert: true },
    );
    return _id;
  }

  async renew(ids: readonly ObjectId[]): Promise<void> {
    await this.leases.updateMany({ _id: { $in: [...ids] } }, [{ $set: { until: leaseEnd() } }]);
  }

  async release(id: ObjectId): Promise<void> {
    await this.leases.deleteOne({ _id: id });
  }

  /** Forgets every lease: for a start at which nobody else can be reading. */
  async releaseAll(): Promise<void> {
    await this.leases.deleteMany({});
  }

  /** Leases that have not run out, of any of the versions. */
  async listLive(versions: readonly string[]): Promise<VersionLeaseDoc[]> {
    return await this.leases
      .find({ version: { $in: [...versions] }, $expr: { $gt: ['$until', '$$NOW'] } })
      .sort({ until: -1 })
      .toArray();
  }
}

function leaseEnd(): object {
  return { $add: ['$$NOW', VERSION_LEASE_MS] };
}
