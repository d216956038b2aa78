import { type IncomingMessage, type ServerResponse } from 'node:http';

import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { type Request, type Response } from 'express';
import { type Logger } from 'pino';

import { type ErrorKind, StoreError } from '../common/errors';
import { asStoreError } from '../mongo/mongo-failure';
import { allowedMethods } from './allowed-methods';
import { giveRequestId, requestIdOf } from './request-id';
import { sendRefusal } from './send-refusal';

/** The native API's statuses; the foreign protocols have tables of their own. */
export const HTTP_STATUS: Readonly<Record<ErrorKind, number>> = {
  bad_syntax: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  precondition_failed: 412,
  too_large: 413,
  range_not_satisfiable: 416,
  unsupported_media_type: 415,
  invalid: 422,
  too_many_requests: 429,
  corrupt: 500,
  overloaded: 503,
  unavailable: 503,
  deadline: 504,
};

/** What a route may have promised about a body that is not sent now. */
export const CONTENT_HEADERS = [
  'Accept-Ranges',
  'Cache-Control',
  'Content-Disposition',
  'Content-Length',
  'Content-Range',
  'ETag',
];

/** The one shape of every error that leaves the native API. */
export interface ErrorBody {
  readonly error: string;
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly requestId: string;
}

/** The status and the body of an error in another protocol. */
export type ForeignWords = (error: StoreError) => {
  readonly status: number;
  readonly body: object;
};

/** An answer that refuses, with the headers that belong to it. */
interface Refusal {
  readonly status: number;
  readonly body: object;
  readonly retryAfterSeconds?: number;
  readonly allow?: string;
}

/**
 * Turns whatever a route threw into the error body.
 *
 * A `StoreError` says what happened. Anything else is a defect: it is logged here, once, with the
 * request id, and answered 500 without a word about the inside.
 */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<Request>();
    const response = http.getResponse<Response>();
    const isItsOwn = thrown instanceof HttpException && thrown.getStatus() < 500;
    this.send(thrown, request, response, (requestId) =>
      isItsOwn ? fromFramework(thrown, request, requestId) : this.describe(thrown, requestId),
    );
  }

  /** The same for what was thrown outside of the framework; in other words, but for defects. */
  refuse(
    thrown: unknown,
    request: IncomingMessage,
    response: ServerResponse,
    words?: ForeignWords,
  ): void {
    this.send(thrown, request, response, (requestId) => this.describe(thrown, requestId, words));
  }

  private send(
    thrown: unknown,
    request: IncomingMessage,
    response: ServerResponse,
    describe: (requestId: string) => Refusal,
  ): void {
    // An address that the router cannot read gets here before anything else has seen it.
    if (requestIdOf(response) === '') giveRequestId(request, response);
    const requestId = requestIdOf(response);
    if (request.socket.destroyed) {
      // The client went away: there is nobody to answer, and nothing that an operator could mend.
      this.logger.debug({ requestId, error: messageOf(thrown) }, 'client gone');
      return;
    }
    const { status, body, allow, retryAfterSeconds } = describe(requestId);
    if (response.headersSent) {
      // Half an answer is out: cutting the connection is the only honest sign left.
      this.logger.warn({ requestId, error: messageOf(thrown) }, 'answer broken off');
      response.destroy();
      return;
    }
    for (const header of CONTENT_HEADERS) response.removeHeader(header);
    if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', retryAfterSeconds);
    if (allow !== undefined) response.setHeader('Allow', allow);
    sendRefusal(request, response, status, body);
  }

  private describe(thrown: unknown, requestId: string, words?: ForeignWords): Refusal {
    const error = thrown instanceof StoreError ? thrown : asStoreError(thrown);
    if (error) {
      const { status, body } = words?.(error) ?? nativeWords(error, requestId);
      if (status >= 500) {
        this.logger.warn({ requestId, code: error.code, cause: causeOf(error) }, error.message);
      }
      const { retryAfterSeconds } = error.details;
      return {
        status,
        body,
        ...(typeof retryAfterSeconds === 'number'
          ? { retryAfterSeconds }
          : status === 503 || status === 429
            ? { retryAfterSeconds: 1 }
            : {}),
      };
    }
    this.logger.error({ requestId, err: thrown }, 'unexpected failure');
    return {
      status: 500,
      body: {
        error: 'The service failed to answer; its log has the reason under this request id',
        code: 'internal_error',
        details: {},
        requestId,
      } satisfies ErrorBody,
    };
  }
}

function nativeWords(
  { kind, message, code, details }: StoreError,
  requestId: string,
): { readonly status: number; readonly body: ErrorBody } {
  return { status: HTTP_STATUS[kind], body: { error: message, code, details, requestId } };
}

/** What the framework itself refuses: unknown routes, above all. */
function fromFramework(thrown: HttpException, request: Request, requestId: string): Refusal {
  const status = thrown.getStatus();
  const details = { method: request.method, path: request.path };
  if (status !== 404) {
    return { status, body: { error: thrown.message, code: 'bad_request', details, requestId } };
  }
  const allowed = allowedMethods(request);
  if (allowed.length > 0) {
    const error = `${request.method} is not taken at ${request.path}, only ${allowed.join(', ')}`;
    return {
      status: HTTP_STATUS.method_not_allowed,
      body: { error, code: 'method_not_allowed', details: { ...details, allowed }, requestId },
      allow: allowed.join(', '),
    };
  }
  const error = `There is no ${request.method} ${request.path}; /api/docs lists the routes`;
  return { status, body: { error, code: 'route_not_found', details, requestId } };
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function causeOf(error: Error): string | undefined {
  return error.cause === undefined ? undefined : messageOf(error.cause);
}
