import { Readable } from 'node:stream';

import { type IncomingMessage } from 'node:http';

import { multipartMembers, requireBoundary } from '../artifacts/parts/multipart-members';
import { InvalidInputError } from '../common/errors';
import { mediaTypeOf } from '../http/media-type';
import { readBody } from '../http/raw-body';
import { parseCallerId } from './predict-request';

/** Images of one request; more are a job for several requests. */
export const MAX_IMAGES = 64;

const MAX_FIELD_BYTES = 4096;
const MAX_FILENAME = 255;

/** So much of a form is taken apart before the event loop turns. */
const SLICE_BYTES = 256 * 1024;

/** One image as it came, not looked at yet. */
export interface SentImage {
  readonly content: Buffer;
  readonly filename?: string;
}

export interface ImageRequest {
  readonly images: readonly SentImage[];
  readonly callerId?: string;
}

/** Whether a request says that it brings images: in a form, or one as its body. */
export function bringsImages(request: IncomingMessage): boolean {
  return isForm(request) || mediaTypeOf(request).startsWith('image/');
}

/**
 * Reads the images of a request: the files of a form in their order, with its field `id`, or the
 * whole body.
 *
 * @throws StoreError of the form; InvalidInputError for no image, too many, or an unknown field
 */
export async function readImageRequest(
  request: IncomingMessage,
  maxBytes: number,
): Promise<ImageRequest> {
  const contentType = request.headers['content-type'] ?? '';
  if (isForm(request)) requireBoundary(contentType);
  const body = await readBody(request, maxBytes);
  if (!isForm(request)) return { images: [{ content: body }] };
  const fields = new Map<string, string>();
  const images: SentImage[] = [];
  const limits = { maxBytes, maxParts: MAX_IMAGES, maxFieldBytes: MAX_FIELD_BYTES };
  const members = multipartMembers(Readable.from(slices(body)), contentType, limits, fields, []);
  for await (const { name, body: file } of members) {
    const pieces: Uint8Array[] = [];
    for await (const piece of file) pieces.push(piece);
    images.push({ content: Buffer.concat(pieces), ...nameOf(name) });
  }
  const callerId = parseCallerId(Object.fromEntries(fields));
  if (images.length === 0) {
    throw new InvalidInputError('The form has no file; send the image as one, with a filename', [
      { path: 'file', message: 'is missing' },
    ]);
  }
  return { images, ...(callerId === undefined ? {} : { callerId }) };
}

function isForm(request: IncomingMessage): boolean {
  return mediaTypeOf(request) === 'multipart/form-data';
}

function* slices(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += SLICE_BYTES) yield body.subarray(at, at + SLICE_BYTES);
}

/** The last part of the name, printable; a folder of the sender says nothing here. */
function nameOf(name: string): Pick<SentImage, 'filename'> {
  const plain = name
    .replace(/^.*[/\\]/, '')
    .replace(/[\p{Cc}\p{Cs}]/gu, '')
    .slice(0, MAX_FILENAME)
    .toWellFormed();
  return plain === '' ? {} : { filename: plain };
}
