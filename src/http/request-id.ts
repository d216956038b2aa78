import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type ServerResponse } from 'node:http';

import { type NextFunction } from 'express';

const HEADER = 'X-Request-Id';
const HEADER_FIELD = 'x-request-id';
/** A caller's own id is kept when it is short and harmless in a log line. */
const ACCEPTED = /^[A-Za-z0-9._-]{1,128}$/;

/** Gives every answer of the framework its id. */
export function requestId(
  request: IncomingMessage,
  response: ServerResponse,
  next: NextFunction,
): void {
  giveRequestId(request, response);
  next();
}

/** Gives an answer an `X-Request-Id`: the caller's, or a new one. */
export function giveRequestId({ headers }: IncomingMessage, response: ServerResponse): void {
  const given = headers[HEADER_FIELD];
  const isKept = typeof given === 'string' && ACCEPTED.test(given);
  response.setHeader(HEADER, isKept ? given : randomUUID());
}

/** The id that this answer carries. */
export function requestIdOf(response: ServerResponse): string {
  return String(response.getHeader(HEADER) ?? '');
}
