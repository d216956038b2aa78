import {
  type Collection,
  type CreateCollectionOptions,
  type Db,
  type Document,
  type IndexSpecification,
} from 'mongodb';

/** One index, with the query or the rule that it is there for. */
export interface IndexDeclaration {
  readonly name: string;
  readonly key: IndexSpecification;
  /** Which query or invariant needs it. */
  readonly reason: string;
  readonly unique?: boolean;
  readonly partialFilterExpression?: Document;
  readonly expireAfterSeconds?: number;
}

/**
 * The collections and indexes that the code relies on.
 *
 * Repositories declare theirs when they are constructed; `apply` makes the database agree and is
 * safe to repeat. Nothing is served before it succeeded once: a missing unique index would let
 * two publishes share a number.
 */
export class Schema {
  private readonly declared = new Map<string, readonly IndexDeclaration[]>();
  private readonly options = new Map<string, CreateCollectionOptions>();
  private readonly renewals = new Map<string, (db: Db) => Promise<void>>();

  declare(
    collection: string,
    indexes: readonly IndexDeclaration[],
    options: CreateCollectionOptions = {},
  ): void {
    this.declared.set(collection, indexes);
    this.options.set(collection, options);
  }

  /** Has documents of a collection that an earlier build wrote rewritten, before anybody reads them. */
  renew(collection: string, renew: (db: Db) => Promise<void>): void {
    this.renewals.set(collection, renew);
  }

  async apply(db: Db): Promise<void> {
    const existing = new Set(
      (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name),
    );
    for (const [name, indexes] of this.declared) {
      if (!existing.has(name)) await createCollection(db, name, this.options.get(name) ?? {});
      await applyIndexes(db.collection(name), indexes);
    }
    for (const renew of this.renewals.values()) await renew(db);
  }
}

async function createCollection(
  db: Db,
  name: string,
  options: CreateCollectionOptions,
): Promise<void> {
  try {
    await db.createCollection(name, options);
  } catch (cause) {
    // Another replica of the service was faster.
    if ((cause as { code?: unknown }).code !== 48) throw cause;
  }
}

async function applyIndexes(
  collection: Collection,
  indexes: readonly IndexDeclaration[],
): Promise<void> {
  if (indexes.length === 0) return;
  await collection.createIndexes(
    indexes.map(({ name, key, unique, partialFilterExpression, expireAfterSeconds }) => ({
      name,
      key: key as Record<string, 1 | -1>,
      ...(unique === true ? { unique } : {}),
      ...(partialFilterExpression ? { partialFilterExpression } : {}),
      ...(expireAfterSeconds === undefined ? {} : { expireAfterSeconds }),
    })),
  );
}
