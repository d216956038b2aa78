import { Inject, Injectable } from '@nestjs/common';
import {
  type ChangeStream,
  type ChangeStreamInsertDocument,
  type ClientSession,
  type Collection,
  type Db,
  type MongoClient,
  ObjectId,
} from 'mongodb';

import { DATABASE } from '../mongo/mongo.tokens';
import { duplicateKeyIndex } from '../mongo/mongo-failure';
import { Schema } from '../mongo/schema';
import { type VersionDoc } from './version.doc';

/** Why an alias moved. */
export type MoveKind = 'first' | 'promote' | 'rollback' | 'remove';

/**
 * Collection `aliasMoves`: one move of an alias, never changed.
 *
 * The newest move of an alias *is* where it points: there is no second place that could disagree.
 */
export interface AliasMoveDoc {
  readonly _id: ObjectId;
  readonly model: string;
  readonly alias: string;
  /** Counts from 1 per alias, without gaps. */
  readonly revision: number;
  readonly kind: MoveKind;
  readonly from: number | null;
  /** Null after the alias was removed. */
  readonly version: number | null;
  readonly movedAt: Date;
  readonly movedBy: string;
  readonly reason: string;
  /** The idempotency key of the request that asked for it. */
  readonly requestKey?: string;
}

/** Moves as they happen, on whatever replica. */
export type MoveStream = ChangeStream<AliasMoveDoc, ChangeStreamInsertDocument<AliasMoveDoc>>;

@Injectable()
export class AliasMovesRepository {
  private readonly moves: Collection<AliasMoveDoc>;
  private readonly versions: Collection<VersionDoc>;
  private readonly client: MongoClient;

  constructor(@Inject(DATABASE) db: Db, schema: Schema) {
    this.moves = db.collection('aliasMoves');
    this.versions = db.collection('versions');
    this.client = db.client;
    schema.declare('aliasMoves', [
      {
        name: 'alias_revision',
        key: { model: 1, alias: 1, revision: -1 },
        unique: true,
        reason:
          'one linear history per alias: of two moves that race one fails; the newest move first',
      },
      {
        name: 'alias_time',
        key: { model: 1, alias: 1, movedAt: -1, revision: -1 },
        reason: 'where an alias pointed at a time',
      },
      {
        name: 'version',
        key: { model: 1, version: 1 },
        reason: 'which aliases ever pointed at a version',
      },
    ]);
  }

  /**
   * Appends a move and carries the alias' pin from the version it leaves to the one it points at:
   * all of it or nothing, so pins always say what the log says.
   */
  async append(move: Omit<AliasMoveDoc, '_id'>): Promise<'moved' | 'raced' | 'not_ready'> {
    try {
      return await this.client.withSession(
        async (session) =>
          await session.withTransaction(async () => await this.appendIn(session, move)),
      );
    } catch (error) {
      if (duplicateKeyIndex(error) === 'alias_revision') return 'raced';
      throw error;
    }
  }

  private async appendIn(
    session: ClientSession,
    move: Omit<AliasMoveDoc, '_id'>,
  ): Promise<'moved' | 'not_ready'> {
    const { model, alias, from, version } = move;
    if (version !== null) {
      const { matchedCount } = await this.versions.updateOne(
        { _id: `${model}/${version}`, state: 'ready' },
        { $addToSet: { pins: alias } },
        { session },
      );
      if (matchedCount === 0) return 'not_ready';
    }
    if (from !== null && from !== version) {
      await this.versions.updateOne(
        { _id: `${model}/${from}` },
        { $pull: { pins: alias } },
        { session },
      );
    }
    await this.moves.insertOne({ _id: new ObjectId(), ...move }, { session });
    return 'moved';
  }

  async findNewest(model: string, alias: string): Promise<AliasMoveDoc | null> {
    return await this.moves.findOne({ model, alias }, { sort: { revision: -1 } });
  }

  /** The move that a request under this key made before, since a time. */
  async findByRequest(
    model: string,
    alias: string,
    requestKey: string,
    since: Date,
  ): Promise<AliasMoveDoc | null> {
    const filter = { model, alias, requestKey, movedAt: { $gte: since } };
    return await this.moves.findOne(filter, { sort: { revision: -1 } });
  }

  async findAt(model: string, alias: string, time: Date): Promise<AliasMoveDoc | null> {
    return await this.moves.findOne(
      { model, alias, movedAt: { $lte: time } },
      { sort: { movedAt: -1, revision: -1 } },
    );
  }

  async list(
    model: string,
    alias: string,
    page: { readonly limit: number; readonly before?: number },
  ): Promise<AliasMoveDoc[]> {
    return await this.moves
      .find({
        model,
        alias,
        ...(page.before === undefined ? {} : { revision: { $lt: page.before } }),
      })
      .sort({ revision: -1 })
      .limit(page.limit)
      .toArray();
  }

  /** Where every alias of a model points now. */
  async listPointers(model: string): Promise<AliasMoveDoc[]> {
    return await this.moves
      .aggregate<AliasMoveDoc>([
        { $match: { model } },
        { $sort: { alias: 1, revision: -1 } },
        { $group: { _id: '$alias', newest: { $first: '$$ROOT' } } },
        { $replaceRoot: { newRoot: '$newest' } },
        { $match: { version: { $ne: null } } },
        { $sort: { alias: 1 } },
      ])
      .toArray();
  }

  /**
   * Tells of every move from its first question on, and says at once when there is none: a question
   * that waits in the server is woken by every write of whatever collection, each prediction's too.
   * The caller closes it.
   */
  watch(): MoveStream {
    return this.moves.watch<AliasMoveDoc, ChangeStreamInsertDocument<AliasMoveDoc>>(
      [{ $match: { operationType: 'insert' } }],
      { maxAwaitTimeMS: 1 },
    );
  }
}
