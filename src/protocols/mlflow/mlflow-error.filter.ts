import { Catch, Inject } from '@nestjs/common';

import { type ErrorKind, type Fault, type StoreError } from '../../common/errors';
import { ForeignErrorFilter, type ForeignRefusal } from '../../http/foreign-error.filter';
import { LOGGER, type Logger } from '../../http/logger';

/** The words of the protocol that are said here, and their statuses. Clients go by the word. */
const STATUS = {
  RESOURCE_ALREADY_EXISTS: 400,
  INVALID_PARAMETER_VALUE: 400,
  BAD_REQUEST: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  RESOURCE_DOES_NOT_EXIST: 404,
  ENDPOINT_NOT_FOUND: 404,
  RESOURCE_CONFLICT: 409,
  ABORTED: 409,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL_ERROR: 500,
  NOT_IMPLEMENTED: 501,
  TEMPORARILY_UNAVAILABLE: 503,
} as const;
type MlflowCode = keyof typeof STATUS;

/** Clients send again what failed with 429 or 5xx, so nothing that stays wrong is among those. */
const BY_KIND: Readonly<Record<ErrorKind, MlflowCode>> = {
  bad_syntax: 'BAD_REQUEST',
  invalid: 'INVALID_PARAMETER_VALUE',
  unsupported_media_type: 'INVALID_PARAMETER_VALUE',
  too_large: 'INVALID_PARAMETER_VALUE',
  range_not_satisfiable: 'INVALID_PARAMETER_VALUE',
  not_found: 'RESOURCE_DOES_NOT_EXIST',
  method_not_allowed: 'ENDPOINT_NOT_FOUND',
  conflict: 'RESOURCE_CONFLICT',
  precondition_failed: 'ABORTED',
  unauthenticated: 'UNAUTHENTICATED',
  forbidden: 'PERMISSION_DENIED',
  too_many_requests: 'RESOURCE_EXHAUSTED',
  overloaded: 'TEMPORARILY_UNAVAILABLE',
  deadline: 'TEMPORARILY_UNAVAILABLE',
  corrupt: 'INTERNAL_ERROR',
  unavailable: 'TEMPORARILY_UNAVAILABLE',
};

/** Errors that have a word of their own. */
const BY_CODE: ReadonlyMap<string, MlflowCode> = new Map([
  ['registered_model_exists', 'RESOURCE_ALREADY_EXISTS'],
  ['not_implemented', 'NOT_IMPLEMENTED'],
  ['endpoint_not_found', 'ENDPOINT_NOT_FOUND'],
]);

const MAX_TOLD = 3;

/** Errors as clients of MLflow read them: `error_code` for programs, `message` for people. */
@Catch()
export class MlflowErrorFilter extends ForeignErrorFilter {
  constructor(@Inject(LOGGER) logger: Logger) {
    super(logger);
  }

  protected override refusalOf({ kind, code, message, details }: StoreError): ForeignRefusal {
    const word = BY_CODE.get(code) ?? BY_KIND[kind];
    return {
      status: STATUS[word],
      body: { error_code: word, message: sentence(message, details) },
    };
  }
}

/** The first few faults belong to the sentence: there is no other place for them. */
function sentence(message: string, { faults }: StoreError['details']): string {
  if (!Array.isArray(faults)) return message;
  const told = (faults as Fault[]).slice(0, MAX_TOLD).map(({ path, message: what }) => {
    return path === '' ? what : `${path}: ${what}`;
  });
  return told.length === 0 ? message : `${message} (${told.join('; ')})`;
}
