import { type Db, type Document } from 'mongodb';

import { asStoreError, isTransientCode } from './mongo-failure';
import { DatabaseUnavailableError, DocumentRefusedError } from './mongo.errors';

const DUPLICATE_KEY = 11000;

/** What became of one document of a group. */
export type InsertOutcome =
  | { readonly kind: 'inserted' }
  /** Its `_id` was there before, and a majority has it. */
  | { readonly kind: 'present' }
  /** Where trying again would change nothing the cause is a `DocumentRefusedError`. */
  | { readonly kind: 'failed'; readonly cause: unknown };

const INSERTED: InsertOutcome = { kind: 'inserted' };
const PRESENT: InsertOutcome = { kind: 'present' };

/** What the server answers to an `insert`. */
interface InsertReply extends Document {
  readonly writeErrors?: readonly WriteFailure[];
  readonly writeConcernError?: Document;
}

interface WriteFailure {
  readonly index: number;
  readonly code: number;
  readonly errmsg?: string;
}

/**
 * Inserts documents in one command and says of each what became of it, in their order. The command
 * has to fit one message; `INSERT_LIMITS` sees to that.
 *
 * A document that cannot even be sent fails alone: the others of its group are sent without it.
 * Never rejects.
 */
export async function insertGroup(
  db: Db,
  collection: string,
  docs: readonly Document[],
): Promise<readonly InsertOutcome[]> {
  try {
    return outcomesOf(await insertWithRetry(db, collection, docs), docs.length);
  } catch (error) {
    if (asStoreError(error)) return docs.map(() => ({ kind: 'failed', cause: error }));
    if (docs.length <= 1) return docs.map(() => ({ kind: 'failed', cause: refused(error) }));
    // Something is wrong with one of them; halves find out which.
    const middle = docs.length >> 1;
    const halves = [docs.slice(0, middle), docs.slice(middle)];
    return (await Promise.all(halves.map((half) => insertGroup(db, collection, half)))).flat();
  }
}

/**
 * The driver's own retries have the server remember every document of a command, which costs a
 * fifth of the whole insert. Here the ids tell whether the first attempt came through.
 */
async function insertWithRetry(
  db: Db,
  collection: string,
  docs: readonly Document[],
): Promise<InsertReply> {
  try {
    return await insertOnce(db, collection, docs);
  } catch (error) {
    if (!asStoreError(error)) throw error;
    return await insertOnce(db, collection, docs);
  }
}

async function insertOnce(
  db: Db,
  collection: string,
  documents: readonly Document[],
): Promise<InsertReply> {
  // The command as it is: the driver's bulk interface measures every document before it sends one.
  return await db.command(
    {
      insert: collection,
      documents,
      ordered: false,
      writeConcern: {
        w: db.writeConcern?.w ?? 'majority',
        wtimeout: db.writeConcern?.wtimeoutMS ?? 0,
      },
    },
    // Settings of the client are not those of its plain commands.
    { ignoreUndefined: true },
  );
}

function outcomesOf(
  { writeErrors = [], writeConcernError }: InsertReply,
  count: number,
): readonly InsertOutcome[] {
  if (writeConcernError) {
    // No majority in time: true of the whole group.
    const cause = new DatabaseUnavailableError('No majority acknowledged what was written', {
      retryAfterSeconds: 1,
      reason: writeConcernError,
    });
    return Array.from({ length: count }, () => ({ kind: 'failed', cause }));
  }
  const outcomes = Array.from({ length: count }, () => INSERTED);
  for (const { index, code, errmsg } of writeErrors) {
    const isPresent = code === DUPLICATE_KEY && errmsg?.includes(' index: _id_ ') === true;
    outcomes[index] = isPresent ? PRESENT : { kind: 'failed', cause: toCause(code, errmsg) };
  }
  return outcomes;
}

function toCause(code: number, errmsg = ''): Error {
  return isTransientCode(code)
    ? new DatabaseUnavailableError('The database cannot take this document right now', {
        retryAfterSeconds: 1,
        reason: { code, errmsg },
      })
    : refused({ code, errmsg });
}

function refused(cause: unknown): DocumentRefusedError {
  return new DocumentRefusedError('The database does not take this document', {}, { cause });
}
