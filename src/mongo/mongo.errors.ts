import { StoreError, UnavailableError } from '../common/errors';

/** MongoDB does not answer, or cannot acknowledge by a majority. What was asked may be tried again. */
export class DatabaseUnavailableError extends UnavailableError {
  override readonly code = 'database_unavailable';
}

/** The server at MONGODB_URI cannot be used; the message is the sentence printed before the start is given up. */
export class UnsupportedServerError extends StoreError {
  override readonly kind = 'unavailable';
  override readonly code = 'unsupported_server';
}

/** Another service owns this data directory; the message is the sentence printed before the start is given up. */
export class DataDirectoryInUseError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'data_directory_in_use';
}

/** No usable mongod was found or could be fetched; the message names every way tried and what to do. */
export class MongodMissingError extends StoreError {
  override readonly kind = 'unavailable';
  override readonly code = 'mongod_missing';
}

/** The embedded mongod could not be brought up; the message carries what it said last. */
export class MongodStartError extends StoreError {
  override readonly kind = 'unavailable';
  override readonly code = 'mongod_start_failed';
}

/** A document that the database does not take for what it is: trying again would change nothing. */
export class DocumentRefusedError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'document_refused';
}
