import { type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { type Request, type Response } from 'express';

import { StoreError } from '../common/errors';
import { asStoreError } from '../mongo/mongo-failure';
import { CONTENT_HEADERS, ErrorFilter } from './error.filter';
import { type Logger } from './logger';
import { requestIdOf } from './request-id';
import { sendRefusal } from './send-refusal';

/** An error in the words of another protocol. */
export interface ForeignRefusal {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Errors of a protocol that is not our own: its statuses and its body for every `StoreError`.
 *
 * Defects, and answers that are half out, are the native filter's in every protocol.
 */
export abstract class ForeignErrorFilter implements ExceptionFilter {
  private readonly native: ErrorFilter;

  constructor(private readonly logger: Logger) {
    this.native = new ErrorFilter(logger);
  }

  protected abstract refusalOf(error: StoreError, requestId: string): ForeignRefusal;

  catch(thrown: unknown, host: ArgumentsHost): void {
    const error = thrown instanceof StoreError ? thrown : asStoreError(thrown);
    const request = host.switchToHttp().getRequest<Request>();
    const response = host.switchToHttp().getResponse<Response>();
    if (!error || response.headersSent || request.socket.destroyed) {
      this.native.catch(thrown, host);
      return;
    }
    const requestId = requestIdOf(response);
    const { status, body, headers = {} } = this.refusalOf(error, requestId);
    if (status >= 500) this.logger.warn({ requestId, code: error.code }, error.message);
    if (status === 503) {
      const { retryAfterSeconds } = error.details;
      const seconds = typeof retryAfterSeconds === 'number' ? retryAfterSeconds : 1;
      response.setHeader('Retry-After', seconds);
    }
    for (const header of CONTENT_HEADERS) response.removeHeader(header);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    sendRefusal(request, response, status, body);
  }
}
