import { randomUUID } from 'node:crypto';

import { type NextFunction, type Request, type Response } from 'express';

const HEADER = 'X-Request-Id';
/** A caller's own id is kept when it is short and harmless in a log line. */
const ACCEPTED = /^[A-Za-z0-9._-]{1,128}$/;

/** Gives every answer an `X-Request-Id`: the caller's, or a new one. */
export function requestId(request: Request, response: Response, next: NextFunction): void {
  const given = request.header(HEADER);
  response.setHeader(HEADER, given !== undefined && ACCEPTED.test(given) ? given : randomUUID());
  next();
}

/** The id that this answer carries. */
export function requestIdOf(response: Response): string {
  return String(response.getHeader(HEADER) ?? '');
}
