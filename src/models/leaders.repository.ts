import { hostname } from 'node:os';

import { Inject, Injectable } from '@nestjs/common';
import { type Collection, type Db } from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { duplicateKeyIndex } from '../mongo/mongo-failure';
import { Schema } from '../mongo/schema';

/** Collection `leaders`: which process does the work of a kind that one does for all. */
interface LeaderDoc {
  /** The kind of work, e.g. `sweep`. */
  readonly _id: string;
  readonly holder: string;
  /** Grows with each change of leader: whoever was leader before cannot renew. */
  readonly token: number;
  readonly until: Date;
}

const HOLDER = `${hostname()}:${process.pid}`;

/** How long a leader may give no sign of life. */
export const LEADER_LEASE_MS = 60_000;

/** Leaderships with fencing tokens; times are the server's. */
@Injectable()
export class LeadersRepository {
  private readonly leaders: Collection<LeaderDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.leaders = db.collection('leaders');
    schema.declare('leaders', []);
  }

  /**
   * Does work of which one process at a time does all. What `run` is given says whether it may go
   * on: one that stood still and was replaced finds out, and so does one that the signal ends.
   *
   * @returns null when another process is at it
   */
  async lead<T>(
    work: string,
    run: (stillLeads: () => Promise<boolean>) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T | null> {
    const token = await this.take(work, HOLDER);
    if (token === null) return null;
    try {
      return await run(async () => !signal?.aborted && (await this.renew(work, token)));
    } finally {
      await this.release(work, token);
    }
  }

  /** @returns the token of the new leadership, or null while another process has it */
  async take(work: string, holder: string): Promise<number | null> {
    try {
      const doc = { _id: work, holder: '', token: 0, until: new Date(0) };
      await this.leaders.updateOne({ _id: work }, { $setOnInsert: doc }, { upsert: true });
    } catch (error) {
      // Another process was as fast.
      if (duplicateKeyIndex(error) === undefined) throw error;
    }
    const taken = await this.leaders.findOneAndUpdate(
      { _id: work, $expr: { $lte: ['$until', '$$NOW'] } },
      [
        {
          $set: {
            holder: { $literal: holder },
            token: { $add: ['$token', 1] },
            until: { $add: ['$$NOW', LEADER_LEASE_MS] },
          },
        },
      ],
      { returnDocument: 'after' },
    );
    return taken?.token ?? null;
  }

  /** @returns false when another process leads by now */
  async renew(work: string, token: number): Promise<boolean> {
    const { matchedCount } = await this.leaders.updateOne({ _id: work, token }, [
      { $set: { until: { $add: ['$$NOW', LEADER_LEASE_MS] } } },
    ]);
    return matchedCount === 1;
  }

  async release(work: string, token: number): Promise<void> {
    await this.leaders.updateOne({ _id: work, token }, { $set: { until: new Date(0) } });
  }
}
