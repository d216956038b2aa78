import { Catch, Inject } from '@nestjs/common';

import { type StoreError } from '../../common/errors';
import { HTTP_STATUS } from '../../http/error.filter';
import { ForeignErrorFilter, type ForeignRefusal } from '../../http/foreign-error.filter';
import { LOGGER, type Logger } from '../../http/logger';

/**
 * Errors of the image service: the statuses of the native API, in a body whose `detail` is where
 * clients of such services look for the sentence.
 */
@Catch()
export class ImageErrorFilter extends ForeignErrorFilter {
  constructor(@Inject(LOGGER) logger: Logger) {
    super(logger);
  }

  protected override refusalOf(
    { kind, message, code, details }: StoreError,
    requestId: string,
  ): ForeignRefusal {
    return { status: HTTP_STATUS[kind], body: { detail: message, code, details, requestId } };
  }
}
