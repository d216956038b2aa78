import assert from 'node:assert';
import { type IncomingMessage } from 'node:http';

import { BadSyntaxError, StoreError } from '../common/errors';
import { mediaTypeOf } from './media-type';

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
function assertAnnouncedLength(request: IncomingMessage, maxBytes: number): void {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
}

/** Bodies being read at once, all requests together: ten of the largest by default settings. */
const MAX_BYTES_UNDER_WAY = 320 * 1024 * 1024;

/** What a connection hands over at once: a body this small mostly comes in one piece. */
const PIECE_BYTES = 64 * 1024;

/** A body that is not there after this long is not coming. */
const BODY_DEADLINE_MS = 60_000;

let bytesUnderWay = 0;

/** There is no room for another body now. */
export class BodiesOverloadedError extends StoreError {
  override readonly kind = 'overloaded';
  override readonly code = 'bodies_overloaded';
}

/**
 * Reads a whole body into one buffer, in memory of its own if it is large.
 *
 * What all requests may hold at once is bounded, and so is the time that one may take: a body
 * that is announced and never sent must not keep memory.
 *
 * @param room bytes to leave free in the same memory before the body, for `putBefore`
 * @throws BodyTooLargeError at the limit, whatever length was announced
 * @throws BodyIncompleteError when the client went away or took too long
 * @throws BodiesOverloadedError
 */
export async function readBody(
  request: IncomingMessage,
  maxBytes: number,
  room = 0,
): Promise<Buffer> {
  assertAnnouncedLength(request, maxBytes);
  assertPlainEncoding(request);
  return await receiveBody(request, maxBytes, room);
}

/** `readBody` for a body whose `Content-Encoding` is undone elsewhere: it comes packed as it is. */
export async function readPackedBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  assertAnnouncedLength(request, maxBytes);
  assertPlainTransfer(request);
  return await receiveBody(request, maxBytes, 0);
}

async function receiveBody(
  request: IncomingMessage,
  maxBytes: number,
  room: number,
): Promise<Buffer> {
  const whole = takeArrived(request, maxBytes);
  if (whole) return withRoom(whole, room);
  const reserved = Number(request.headers['content-length'] ?? maxBytes);
  return await holdBytes(reserved, async () => {
    const late = setTimeout(() => {
      request.destroy(new BodyIncompleteError('The body took too long to arrive'));
    }, BODY_DEADLINE_MS);
    try {
      const announced = request.headers['content-length'];
      const isLarge = announced !== undefined && reserved > PIECE_BYTES;
      if (isLarge) {
        return await fill(request, Buffer.allocUnsafeSlow(room + reserved).subarray(room));
      }
      return withRoom(await collect(request, maxBytes), room);
    } catch (cause) {
      if (cause instanceof StoreError) throw cause;
      throw new BodyIncompleteError('The request ended before its body did', {}, { cause });
    } finally {
      clearTimeout(late);
    }
  });
}

/**
 * Counts memory for bodies while work goes on that fills it.
 *
 * @throws BodiesOverloadedError when others hold too much of it
 */
export async function holdBytes<T>(bytes: number, work: () => Promise<T>): Promise<T> {
  if (bytesUnderWay > 0 && bytesUnderWay + bytes > MAX_BYTES_UNDER_WAY) {
    throw new BodiesOverloadedError('Too many large bodies are being sent at once; try again', {
      retryAfterSeconds: 1,
    });
  }
  bytesUnderWay += bytes;
  try {
    return await work();
  } finally {
    bytesUnderWay -= bytes;
  }
}

/** A small body is mostly there before anybody asks for it: then there is nothing to wait for. */
function takeArrived(request: IncomingMessage, maxBytes: number): Buffer | null {
  if (!request.complete || request.destroyed || request.readableFlowing !== null) return null;
  const body = request.read() as Buffer | null;
  if (body && body.length > maxBytes) throw tooLarge(maxBytes);
  return body;
}

/** Reads as many bytes as were announced: no copy of the whole, which would hold up all others. */
async function fill(request: IncomingMessage, body: Buffer): Promise<Buffer> {
  let bytes = 0;
  for await (const piece of arriving(request)) {
    body.set(piece, bytes);
    bytes += piece.length;
  }
  return body;
}

/** By its events: for a body of one piece an iterator costs more than all else that is done with it. */
async function collect(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  if (request.readableEnded) return Buffer.alloc(0);
  if (request.destroyed) throw new BodyIncompleteError('The request ended before its body did');
  return await new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    const take = (piece: Buffer): void => {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes > maxBytes) fail(tooLarge(maxBytes));
    };
    const end = (): void => {
      leave();
      const [only] = pieces;
      resolve(pieces.length === 1 && only ? only : Buffer.concat(pieces, bytes));
    };
    const fail = (cause: Error): void => {
      leave();
      // The rest is for whoever sends the refusal.
      request.pause();
      reject(cause);
    };
    const close = (): void => {
      fail(new BodyIncompleteError('The request ended before its body did'));
    };
    const leave = (): void => {
      request.off('data', take).off('end', end).off('error', fail).off('close', close);
    };
    request.on('end', end).on('error', fail).on('close', close).on('data', take);
  });
}

/** The body behind so many free bytes of the same memory, where any were asked for. */
export function withRoom(body: Buffer, room: number): Buffer {
  if (room === 0) return body;
  const whole = Buffer.allocUnsafeSlow(room + body.length);
  whole.set(body, room);
  return whole.subarray(room);
}

/**
 * What belongs before a body that was read with room for it, and the body, as one: nothing is
 * copied but what is put before it.
 */
export function putBefore(body: Buffer, head: Uint8Array): Buffer {
  const start = body.byteOffset - head.length;
  assert(start >= 0 && body.buffer.byteLength === body.byteOffset + body.length, 'no room');
  const whole = Buffer.from(body.buffer, start, head.length + body.length);
  whole.set(head);
  return whole;
}

/**
 * The pieces of a body that is not kept whole.
 *
 * @throws BodyTooLargeError at the limit, whatever length was announced
 * @throws BodyIncompleteError when the client went away
 */
export async function* streamBody(
  request: IncomingMessage,
  maxBytes: number,
): AsyncGenerator<Buffer> {
  assertAnnouncedLength(request, maxBytes);
  assertPlainEncoding(request);
  let bytes = 0;
  try {
    for await (const piece of arriving(request)) {
      bytes += piece.length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      yield piece;
    }
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw new BodyIncompleteError('The request ended before its body did', {}, { cause });
  }
}

/** Leaving the loop early must not destroy the connection: it still has to carry the refusal. */
function arriving(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
}

/** @throws UnsupportedMediaTypeError for anything but JSON in UTF-8 */
export function assertJson(request: IncomingMessage): void {
  const given = request.headers['content-type'] ?? '';
  const type = mediaTypeOf(request);
  const isJson = type === 'application/json' || /^application\/[a-z0-9.-]+\+json$/.test(type);
  if (!isJson || !isUtf8(given)) {
    throw new UnsupportedMediaTypeError('Send JSON in UTF-8, with Content-Type: application/json', {
      contentType: given.slice(0, 120),
    });
  }
}

/** Whether a content type leaves the encoding open or names UTF-8. */
function isUtf8(contentType: string): boolean {
  if (!contentType.includes(';')) return true;
  const [, ...parameters] = contentType.split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice(8);
  return charset === undefined || /^"?utf-?8"?$/.test(charset);
}

/** @throws UnsupportedMediaTypeError for a compressed body: its size would only be known when it is too late */
function assertPlainEncoding({ headers }: Pick<IncomingMessage, 'headers'>): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    throw new UnsupportedMediaTypeError('Send the body without a Content-Encoding', {
      contentEncoding: encoding.slice(0, 120),
    });
  }
  assertPlainTransfer({ headers });
}

/** @throws UnsupportedMediaTypeError */
function assertPlainTransfer({ headers }: Pick<IncomingMessage, 'headers'>): void {
  // Node's parser undoes `chunked` and hands over what else there is as it came.
  const transfer = headers['transfer-encoding'] ?? 'chunked';
  if (transfer.toLowerCase() !== 'chunked') {
    throw new UnsupportedMediaTypeError('Send the body with no Transfer-Encoding but chunked', {
      transferEncoding: transfer.slice(0, 120),
    });
  }
}

export function tooLarge(maxBytes: number): BodyTooLargeError {
  return new BodyTooLargeError(`The body is larger than the ${maxBytes} bytes this route takes`, {
    maxBytes,
  });
}
