import { createHash } from 'node:crypto';

import { type IncomingMessage } from 'node:http';

import { readBody } from '../http/raw-body';
import { bringsImages, type ImageRequest, readImageRequest } from './image-request';
import { HEAD_ROOM_BYTES, INLINE_RAW_BYTES } from './prediction-input';
import { bringsRawTensor } from './raw-tensor';

/** A request whose body has arrived, and was not looked into yet. */
export type SentRequest =
  | { readonly kind: 'images'; readonly images: ImageRequest }
  | { readonly kind: 'body'; readonly body: Buffer };

/** @throws StoreError of the form or of the body */
export async function receive(request: IncomingMessage, maxBytes: number): Promise<SentRequest> {
  return bringsImages(request)
    ? { kind: 'images', images: await readImageRequest(request, maxBytes) }
    : { kind: 'body', body: await readBody(request, maxBytes, roomFor(request)) };
}

/** A large tensor is stored with what stands before it, without being copied for that. */
function roomFor(request: IncomingMessage): number {
  const isLarge = Number(request.headers['content-length'] ?? Infinity) > INLINE_RAW_BYTES;
  return bringsRawTensor(request) && isLarge ? HEAD_ROOM_BYTES : 0;
}

/** What a request says, whatever boundaries its form has: the same for the same request sent again. */
export function fingerprintOfSent(sent: SentRequest): string {
  const digest = createHash('sha256');
  if (sent.kind === 'body') return digest.update(sent.body).digest('hex');
  const { images, callerId } = sent.images;
  digest.update(
    JSON.stringify([callerId, images.map((one) => [one.filename, one.content.length])]),
  );
  for (const { content } of images) digest.update(content);
  return digest.digest('hex');
}
