import { Catch, Inject } from '@nestjs/common';

import { type ErrorKind, type StoreError } from '../../common/errors';
import { ForeignErrorFilter, type ForeignRefusal } from '../../http/foreign-error.filter';
import { LOGGER, type Logger } from '../../http/logger';
import { PACKINGS } from '../../http/packed-body';
import { OipUnsupportedError } from './oip.errors';

/** Statuses as Triton gives them; all other kinds are 400. */
const STATUS: Partial<Readonly<Record<ErrorKind, number>>> = {
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  unsupported_media_type: 415,
  too_many_requests: 429,
  corrupt: 500,
  overloaded: 503,
  unavailable: 503,
  deadline: 503,
};

/** Errors of the Open Inference Protocol: a status, and one sentence under `error`. */
@Catch()
export class OipErrorFilter extends ForeignErrorFilter {
  constructor(@Inject(LOGGER) logger: Logger) {
    super(logger);
  }

  protected override refusalOf(error: StoreError): ForeignRefusal {
    const status = error instanceof OipUnsupportedError ? 501 : (STATUS[error.kind] ?? 400);
    return {
      status,
      body: { error: error.message },
      // The one thing about its media that a request can get wrong is how it is packed.
      ...(status === 415 ? { headers: { 'Accept-Encoding': PACKINGS } } : {}),
    };
  }
}
