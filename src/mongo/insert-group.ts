import {
  type Collection,
  type Document,
  MongoBulkWriteError,
  type OptionalUnlessRequiredId,
} from 'mongodb';

import { asStoreError, isTransientCode } from './mongo-failure';
import { DocumentRefusedError } from './mongo.errors';

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

/**
 * Inserts documents in one command and says of each what became of it, in their order.
 *
 * A document that cannot even be sent fails alone: the others of its group are sent without it.
 * Never rejects.
 */
export async function insertGroup<T extends Document>(
  collection: Collection<T>,
  docs: readonly OptionalUnlessRequiredId<T>[],
): Promise<readonly InsertOutcome[]> {
  try {
    await collection.insertMany(docs, { ordered: false });
    return docs.map(() => INSERTED);
  } catch (error) {
    if (error instanceof MongoBulkWriteError) return outcomesOf(error, docs.length);
    if (asStoreError(error)) return docs.map(() => ({ kind: 'failed', cause: error }));
    if (docs.length <= 1) return docs.map(() => ({ kind: 'failed', cause: refused(error) }));
    // The driver stopped at a document before anything was sent; halves find out which.
    const middle = docs.length >> 1;
    const halves = [docs.slice(0, middle), docs.slice(middle)];
    return (await Promise.all(halves.map((half) => insertGroup(collection, half)))).flat();
  }
}

function outcomesOf(error: MongoBulkWriteError, count: number): InsertOutcome[] {
  const failures = [error.writeErrors].flat();
  const unconfirmed = error.result.getWriteConcernError();
  if (failures.length === 0 || unconfirmed) {
    // A lost connection, no primary, or no majority in time: true of the whole group.
    return Array.from({ length: count }, () => ({ kind: 'failed', cause: error }));
  }
  const outcomes = Array.from({ length: count }, () => INSERTED);
  for (const failure of failures) {
    const isPresent =
      failure.code === DUPLICATE_KEY && failure.errmsg?.includes(' index: _id_ ') === true;
    const cause = isTransientCode(failure.code) ? failure : refused(failure);
    outcomes[failure.index] = isPresent ? PRESENT : { kind: 'failed', cause };
  }
  return outcomes;
}

function refused(cause: unknown): DocumentRefusedError {
  return new DocumentRefusedError('The database does not take this document', {}, { cause });
}
