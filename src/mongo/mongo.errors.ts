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
