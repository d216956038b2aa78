import { type IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { deflate, gunzip, gzip, inflate } from 'node:zlib';

import { BadSyntaxError } from '../common/errors';
import {
  holdBytes,
  readBody,
  readPackedBody,
  tooLarge,
  UnsupportedMediaTypeError,
  withRoom,
} from './raw-body';

/** Bytes that are not packed as the request says. */
export class BadPackingError extends BadSyntaxError {
  override readonly code = 'bad_packing';
}

/** By `Content-Encoding`; `deflate` means the zlib form, as RFC 9110 has it. */
const UNPACK = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const;
const PACK = { gzip: promisify(gzip), deflate: promisify(deflate) } as const;

export type Packing = keyof typeof PACK;

/** What a client is told that packed its body in another way. */
export const PACKINGS = 'gzip, deflate';

/** Answers are packed while somebody waits: the fastest level has most of the gain. */
const PACK_LEVEL = 1;

/**
 * `readBody` for a route whose clients may pack what they send.
 *
 * The limit holds for what arrives and for what it unpacks to, which stops at the limit; it is
 * unpacked on another thread.
 *
 * @throws what `readBody` throws; BadPackingError; UnsupportedMediaTypeError for other packings
 */
export async function readUnpackedBody(
  request: IncomingMessage,
  maxBytes: number,
  room = 0,
): Promise<Buffer> {
  const encoding = (request.headers['content-encoding'] ?? '').trim().toLowerCase();
  if (encoding === '' || encoding === 'identity') return await readBody(request, maxBytes, room);
  if (!isPacking(encoding)) {
    throw new UnsupportedMediaTypeError(`Send the body plain, or packed by ${PACKINGS}`, {
      contentEncoding: encoding.slice(0, 120),
    });
  }
  const packed = await readPackedBody(request, maxBytes);
  return await holdBytes(maxBytes, async () => {
    try {
      const body = await UNPACK[encoding](packed, { maxOutputLength: maxBytes });
      return withRoom(body, room);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
        throw tooLarge(maxBytes);
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new BadPackingError(`The body is not packed by ${encoding}: ${why}`, {}, { cause });
    }
  });
}

function isPacking(text: string): text is Packing {
  return text === 'gzip' || text === 'deflate';
}

/** How the answer may be packed by `Accept-Encoding`: the one the client prefers, or not at all. */
export function acceptedPacking({ headers }: Pick<IncomingMessage, 'headers'>): Packing | null {
  let best: { readonly packing: Packing; readonly weight: number } | null = null;
  for (const item of (headers['accept-encoding'] ?? '').split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = quality === undefined ? 1 : Number(quality.slice(2));
    if (isPacking(name) && weight > (best?.weight ?? 0)) best = { packing: name, weight };
  }
  return best?.packing ?? null;
}

/** Packs an answer, on another thread. */
export async function pack(body: Uint8Array, packing: Packing): Promise<Buffer> {
  return await PACK[packing](body, { level: PACK_LEVEL });
}
