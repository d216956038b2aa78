import { type ArgumentsHost, Catch, type ExceptionFilter, Inject } from '@nestjs/common';
import { type Request, type Response } from 'express';

import { StoreError } from '../../common/errors';
import { ErrorFilter, HTTP_STATUS } from '../../http/error.filter';
import { LOGGER, type Logger } from '../../http/logger';
import { requestIdOf } from '../../http/request-id';
import { sendRefusal } from '../../http/send-refusal';
import { asStoreError } from '../../mongo/mongo-failure';

/**
 * Errors of the image service: the statuses of the native API, in a body whose `detail` is where
 * clients of such services look for the sentence.
 */
@Catch()
export class ImageErrorFilter implements ExceptionFilter {
  private readonly native: ErrorFilter;

  constructor(@Inject(LOGGER) private readonly logger: Logger) {
    this.native = new ErrorFilter(logger);
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const error = thrown instanceof StoreError ? thrown : asStoreError(thrown);
    const response = host.switchToHttp().getResponse<Response>();
    if (!error || response.headersSent) {
      this.native.catch(thrown, host);
      return;
    }
    const request = host.switchToHttp().getRequest<Request>();
    const requestId = requestIdOf(response);
    const status = HTTP_STATUS[error.kind];
    if (status >= 500) this.logger.warn({ requestId, code: error.code }, error.message);
    if (status === 503) {
      const { retryAfterSeconds } = error.details;
      const seconds = typeof retryAfterSeconds === 'number' ? retryAfterSeconds : 1;
      response.setHeader('Retry-After', seconds);
    }
    const { message, code, details } = error;
    sendRefusal(request, response, status, { detail: message, code, details, requestId });
  }
}
