import { type Request } from 'express';

/**
 * Whether the caller already has what it asks for.
 *
 * Unlike Express' `fresh` this goes by `If-None-Match` alone: what has a digest for an ETag is the
 * same for ever, also for callers that send `Cache-Control: no-cache` along, as `fetch` does.
 */
export function isKnown(request: Request, etag: string): boolean {
  const known = request.header('If-None-Match');
  if (known === undefined) return false;
  return known === '*' || known.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}
