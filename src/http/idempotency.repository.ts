import { Inject, Injectable } from '@nestjs/common';
import { type Collection, type Db, type Filter, ObjectId } from 'mongodb';

import { duplicateKeyIndex } from '../mongo/mongo-failure';
import { DATABASE } from '../mongo/mongo.tokens';
import { Schema } from '../mongo/schema';
import { type Refusal } from './idempotency.errors';

/**
 * Collection `idempotency`: what became of the requests that came under one key.
 *
 * ```
 * (none) -> at work, under a lease -> settled (status and body, or refusal) -> expired after 24 h
 *              |         ^
 *              +---------+ the lease ran out: the next request with the key takes over
 * ```
 */
interface IdempotencyDoc {
  /** The caller's key. */
  readonly _id: string;
  /** Method, path and query. */
  readonly request: string;
  /** The attempt that is at work, or was last. */
  readonly attempt: ObjectId;
  readonly leaseUntil: Date;
  /** The document goes by itself after this. */
  readonly expiresAt: Date;
  readonly settled?: Settled;
}

/** How a request ended, in a form that can be told again. */
export interface Settled {
  /** SHA-256 over what the body says. */
  readonly fingerprint: string;
  readonly outcome:
    | {
        readonly status: number;
        /** JSON text: keys of callers may hold what a field name of a document must not. */
        readonly body: string;
        readonly headers: Readonly<Record<string, string>>;
      }
    | { readonly refusal: Refusal };
}

export type Claim =
  | { readonly kind: 'ours'; readonly attempt: ObjectId }
  | { readonly kind: 'at_work'; readonly leaseUntil: Date }
  | { readonly kind: 'settled'; readonly settled: Settled }
  | { readonly kind: 'other_request' };

/** How long an attempt may give no sign of life. */
export const ATTEMPT_LEASE_MS = 15_000;
const KEPT_MS = 24 * 3_600_000;

@Injectable()
export class IdempotencyRepository {
  private readonly keys: Collection<IdempotencyDoc>;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.keys = db.collection('idempotency');
    schema.declare('idempotency', [
      {
        name: 'expiry',
        key: { expiresAt: 1 },
        expireAfterSeconds: 0,
        reason: 'a key is remembered for a day',
      },
    ]);
  }

  /** Takes a key that is new, or whose attempt gave no sign of life for too long. */
  async claim(key: string, request: string): Promise<Claim> {
    const attempt = new ObjectId();
    // The server's clock: an attempt and who waits for it may be on two machines.
    const hold = [
      {
        $set: {
          request: { $literal: request },
          attempt,
          leaseUntil: inMs(ATTEMPT_LEASE_MS),
          expiresAt: inMs(KEPT_MS),
        },
      },
    ];
    try {
      // A new attempt is in no document, so this inserts or meets the key.
      await this.keys.updateOne({ _id: key, attempt }, hold, { upsert: true });
      return { kind: 'ours', attempt };
    } catch (error) {
      if (duplicateKeyIndex(error) === undefined) throw error;
    }
    const abandoned: Filter<IdempotencyDoc> = {
      _id: key,
      request,
      settled: { $exists: false },
      $expr: { $lt: ['$leaseUntil', '$$NOW'] },
    };
    if ((await this.keys.updateOne(abandoned, hold)).matchedCount === 1) {
      return { kind: 'ours', attempt };
    }
    const doc = await this.keys.findOne({ _id: key });
    // It expired in between: the key is as good as new.
    if (!doc) return await this.claim(key, request);
    if (doc.request !== request) return { kind: 'other_request' };
    if (doc.settled) return { kind: 'settled', settled: doc.settled };
    return { kind: 'at_work', leaseUntil: doc.leaseUntil };
  }

  async renew(key: string, attempt: ObjectId): Promise<void> {
    await this.keys.updateOne({ _id: key, attempt }, [
      { $set: { leaseUntil: inMs(ATTEMPT_LEASE_MS) } },
    ]);
  }

  /** @returns false when another attempt has taken over */
  async settle(key: string, attempt: ObjectId, settled: Settled): Promise<boolean> {
    const { matchedCount } = await this.keys.updateOne(
      { _id: key, attempt, settled: { $exists: false } },
      { $set: { settled } },
    );
    return matchedCount === 1;
  }

  /** Forgets an attempt that came to nothing: the next one starts anew. */
  async release(key: string, attempt: ObjectId): Promise<void> {
    await this.keys.deleteOne({ _id: key, attempt, settled: { $exists: false } });
  }

  /** Forgets every attempt: for a start at which nobody else can be at work. */
  async releaseAll(): Promise<void> {
    await this.keys.deleteMany({ settled: { $exists: false } });
  }
}

function inMs(ms: number): object {
  return { $add: ['$$NOW', ms] };
}
