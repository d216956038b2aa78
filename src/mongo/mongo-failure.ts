import {
  MongoBulkWriteError,
  MongoError,
  MongoErrorLabel,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoOperationTimeoutError,
  MongoServerError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
  MongoWriteConcernError,
} from 'mongodb';

import { type StoreError } from '../common/errors';
import { DatabaseUnavailableError } from './mongo.errors';

const DUPLICATE_KEY = 11000;

/** Server errors that pass by themselves: no primary, shutting down, stepping down, majority lost, timed out. */
const TRANSIENT_CODES = new Set([
  6, 7, 50, 64, 89, 91, 100, 112, 189, 262, 317, 9001, 10058, 10107, 11600, 11602, 13435, 13436,
  14031,
]);

/** Not found and killed. */
const CURSOR_GONE = new Set([43, 237]);

/**
 * Whether a write failed because a unique index already holds its key, and which index.
 */
export function duplicateKeyIndex(error: unknown): string | undefined {
  if (!(error instanceof MongoServerError) || error.code !== DUPLICATE_KEY) return undefined;
  return /index: ([^ ]+)/.exec(error.message)?.[1] ?? '_id_';
}

/**
 * What a failure of the driver means to a caller, or null when it is not one that passes.
 *
 * The one place that knows which of the driver's errors say "not now".
 */
export function asStoreError(error: unknown): StoreError | null {
  if (!(error instanceof MongoError) || !isTransient(error)) return null;
  return new DatabaseUnavailableError(
    'The database does not answer or cannot acknowledge right now; try again in a moment',
    { retryAfterSeconds: 1 },
    { cause: error },
  );
}

/** Whether a server's error code says "not now" rather than "not so". */
export function isTransientCode(code: number): boolean {
  return TRANSIENT_CODES.has(code);
}

/** Whether a cursor is gone, or cannot be asked right now: another one can go on where it was. */
export function isLostCursor(error: unknown): boolean {
  if (!(error instanceof MongoError)) return false;
  return isTransient(error) || CURSOR_GONE.has(Number(error.code));
}

function isTransient(error: MongoError): boolean {
  if (
    error instanceof MongoNetworkError ||
    error instanceof MongoServerSelectionError ||
    error instanceof MongoNotConnectedError ||
    error instanceof MongoTopologyClosedError ||
    error instanceof MongoOperationTimeoutError ||
    error instanceof MongoWriteConcernError ||
    error.name === 'PoolClearedError' ||
    error.name === 'WaitQueueTimeoutError' ||
    error.name === 'MongoPoolClearedError' ||
    error.name === 'MongoPoolClosedError' ||
    error.name === 'MongoWaitQueueTimeoutError'
  ) {
    return true;
  }
  if (error.hasErrorLabel(MongoErrorLabel.RetryableWriteError)) return true;
  if (error instanceof MongoBulkWriteError || error instanceof MongoServerError) {
    return isTransientCode(Number(error.code));
  }
  return false;
}
