import { type Request } from 'express';

import { BadSyntaxError, StoreError } from '../common/errors';

/** A body over the limit of its route. */
export class BodyTooLargeError extends StoreError {
  override readonly kind = 'too_large';
  override readonly code = 'body_too_large';
}

/** A body of a kind that the route does not take. */
export class UnsupportedMediaTypeError extends StoreError {
  override readonly kind = 'unsupported_media_type';
  override readonly code = 'unsupported_media_type';
}

/** The request ended before its body did. */
export class BodyIncompleteError extends BadSyntaxError {
  override readonly code = 'body_incomplete';
}

/** @throws BodyTooLargeError when the announced length is over the limit: nothing is read then */
function assertAnnouncedLength(request: Request, maxBytes: number): void {
  const announced = Number(request.header('Content-Length') ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
}

/**
 * Reads a whole body into one buffer of its own.
 *
 * @throws BodyTooLargeError at the limit, whatever length was announced
 * @throws BodyIncompleteError when the client went away
 */
export async function readBody(request: Request, maxBytes: number): Promise<Buffer> {
  assertAnnouncedLength(request, maxBytes);
  assertPlainEncoding(request);
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of request as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      pieces.push(piece);
    }
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw new BodyIncompleteError('The request ended before its body did', {}, { cause });
  }
  const [only] = pieces;
  return pieces.length === 1 && only ? only : Buffer.concat(pieces, bytes);
}

/** @throws UnsupportedMediaTypeError for anything but JSON in UTF-8 */
export function assertJson(request: Request): void {
  const given = request.header('Content-Type') ?? '';
  const [type = '', ...parameters] = given.split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice(8);
  const isUtf8 = charset === undefined || /^"?utf-?8"?$/.test(charset);
  if (!isUtf8 || !(type === 'application/json' || /^application\/[a-z0-9.-]+\+json$/.test(type))) {
    throw new UnsupportedMediaTypeError('Send JSON in UTF-8, with Content-Type: application/json', {
      contentType: given.slice(0, 120),
    });
  }
}

/** @throws UnsupportedMediaTypeError for a compressed body: its size would only be known when it is too late */
function assertPlainEncoding(request: Request): void {
  const encoding = request.header('Content-Encoding') ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    throw new UnsupportedMediaTypeError('Send the body without a Content-Encoding', {
      contentEncoding: encoding.slice(0, 120),
    });
  }
}

function tooLarge(maxBytes: number): BodyTooLargeError {
  return new BodyTooLargeError(`The body is larger than the ${maxBytes} bytes this route takes`, {
    maxBytes,
  });
}
