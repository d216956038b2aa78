import { Inject, Injectable } from '@nestjs/common';
import { type ClientSession, type Collection, type Db } from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { duplicateKeyIndex } from '../mongo/mongo-failure';
import { Schema } from '../mongo/schema';
import { inTransaction } from '../mongo/transaction';

/** What can be held: everything of a model, one record, or the bytes of one input. */
export const HOLD_KINDS = ['model', 'prediction', 'input'] as const;
export type HoldKind = (typeof HOLD_KINDS)[number];

/** Collection `holds`: what must not be taken away, and why. */
export interface HoldDoc {
  /** `<kind>:<target>`. */
  readonly _id: string;
  readonly kind: HoldKind;
  /** A model's name, a prediction's id, or an input's digest. */
  readonly target: string;
  readonly reason: string;
  readonly heldAt: Date;
  /** Of a held prediction: what it was made from, which is held with it. */
  readonly inputDigest?: string;
}

/** The one document that all who hold and all who take away write to. */
interface GateDoc {
  readonly _id: typeof GATE;
  readonly turns: number;
}

const GATE = 'gate';

/**
 * Holds, and the gate that makes them binding.
 *
 * Putting a hold and taking something away are transactions that pass through `exclusively`, so
 * they happen one after the other: once a hold was answered for, nothing that it covers goes.
 */
@Injectable()
export class HoldsRepository {
  private readonly holds: Collection<HoldDoc>;
  private readonly gate: Collection<GateDoc>;
  private hasGate = false;

  constructor(
    @Inject(DATABASE) private readonly db: Db,
    schema: Schema,
  ) {
    this.holds = db.collection('holds');
    this.gate = db.collection('holdGate');
    schema.declare('holds', [
      {
        name: 'input',
        key: { inputDigest: 1 },
        partialFilterExpression: { inputDigest: { $exists: true } },
        reason: 'whether a held prediction was made from an input',
      },
    ]);
    schema.declare('holdGate', []);
  }

  /** Runs `work` in a transaction, with no other such transaction beside it; it can run several times. */
  async exclusively<T>(work: (session: ClientSession) => Promise<T>): Promise<T> {
    await this.makeGate();
    return await inTransaction(this.db, async (session) => {
      // Of two that write here one has to start again, and then sees what the other did.
      await this.gate.updateOne({ _id: GATE }, { $inc: { turns: 1 } }, { session });
      return await work(session);
    });
  }

  /** A new reason takes the place of the one before. */
  async put(hold: Omit<HoldDoc, '_id'>, session: ClientSession): Promise<HoldDoc> {
    const doc = { _id: holdKey(hold.kind, hold.target), ...hold };
    await this.holds.replaceOne({ _id: doc._id }, doc, { upsert: true, session });
    return doc;
  }

  async remove(kind: HoldKind, target: string): Promise<boolean> {
    const { deletedCount } = await this.holds.deleteOne({ _id: holdKey(kind, target) });
    return deletedCount === 1;
  }

  async find(kind: HoldKind, target: string, session?: ClientSession): Promise<HoldDoc | null> {
    return await this.holds.findOne({ _id: holdKey(kind, target) }, session ? { session } : {});
  }

  /** Which of these are held by themselves. */
  async heldAmong(
    kind: HoldKind,
    targets: readonly string[],
    session?: ClientSession,
  ): Promise<Set<string>> {
    const keys = targets.map((target) => holdKey(kind, target));
    const options = session ? { session } : {};
    const docs = await this.holds.find({ _id: { $in: keys } }, options).toArray();
    return new Set(docs.map(({ target }) => target));
  }

  /** A held prediction that was made from the input. */
  async findByInput(inputDigest: string, session: ClientSession): Promise<HoldDoc | null> {
    return await this.holds.findOne({ inputDigest }, { session });
  }

  async listOf(kind: HoldKind, session?: ClientSession): Promise<HoldDoc[]> {
    const range = { _id: { $gte: holdKey(kind, ''), $lt: `${kind};` } };
    return await this.holds.find(range, session ? { session } : {}).toArray();
  }

  /** By kind and target, from behind `after`. */
  async list(limit: number, after = ''): Promise<HoldDoc[]> {
    return await this.holds
      .find({ _id: { $gt: after } })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray();
  }

  private async makeGate(): Promise<void> {
    if (this.hasGate) return;
    try {
      await this.gate.updateOne({ _id: GATE }, { $setOnInsert: { turns: 0 } }, { upsert: true });
    } catch (error) {
      // Another process was as fast.
      if (duplicateKeyIndex(error) === undefined) throw error;
    }
    this.hasGate = true;
  }
}

/** A colon ends the kind; the semicolon behind it in the alphabet ends all keys of a kind. */
function holdKey(kind: HoldKind, target: string): string {
  return `${kind}:${target}`;
}
