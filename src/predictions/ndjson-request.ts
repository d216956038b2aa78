import { type Request } from 'express';

import { BodyIncompleteError, UnsupportedMediaTypeError } from '../http/raw-body';

const NDJSON = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];

/** @throws UnsupportedMediaTypeError for anything but NDJSON as it is */
export function assertNdjson(request: Request): void {
  const [type = ''] = (request.header('Content-Type') ?? '').toLowerCase().split(';');
  const encoding = request.header('Content-Encoding') ?? 'identity';
  if (!NDJSON.includes(type.trim()) || encoding.toLowerCase() !== 'identity') {
    throw new UnsupportedMediaTypeError(
      'Send one JSON object per line, with Content-Type: application/x-ndjson and no Content-Encoding',
      { contentType: type.slice(0, 120) },
    );
  }
}

/**
 * The body as it arrives. Leaving the loop early leaves the connection open, which still has to
 * carry the refusal.
 *
 * @throws BodyIncompleteError when the client goes away
 */
export async function* ndjsonBody(request: Request): AsyncGenerator<Buffer> {
  const arriving = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  try {
    yield* arriving;
  } catch (cause) {
    throw new BodyIncompleteError('The request ended before its body did', {}, { cause });
  }
}
