import { type ErrorKind, type StoreError } from '../../common/errors';
import { type ForeignWords } from '../../http/error.filter';
import { UnimplementedError } from './tfserving.errors';

/**
 * The statuses of TensorFlow Serving. It has one for whatever is wrong with a request; only what
 * HTTP itself refuses, a body that is too long, keeps its own.
 */
const STATUS: Readonly<Record<ErrorKind, number>> = {
  bad_syntax: 400,
  invalid: 400,
  unsupported_media_type: 400,
  range_not_satisfiable: 400,
  method_not_allowed: 400,
  conflict: 400,
  precondition_failed: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  too_large: 413,
  too_many_requests: 429,
  corrupt: 500,
  overloaded: 503,
  unavailable: 503,
  deadline: 504,
};

/** Errors as clients of TensorFlow Serving read them. */
export const tfWords: ForeignWords = (error: StoreError) => ({
  status: error.code === UnimplementedError.CODE ? 501 : STATUS[error.kind],
  body: { error: error.message },
});
