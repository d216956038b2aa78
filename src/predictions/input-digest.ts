import { BadDigestError } from './predictions.errors';

const PREFIX = 'sha256:';

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export function isInputDigest(text: string): boolean {
  return DIGEST.test(text);
}

/** @throws BadDigestError */
export function parseInputDigest(digest: string): string {
  if (isInputDigest(digest)) return digest;
  throw new BadDigestError('A digest reads sha256: and 64 hexadecimal digits', {
    digest: digest.slice(0, 80),
  });
}

/** The form in which the database holds a digest; the other end is `digestText`. */
export function digestBytes(digest: string): Buffer {
  return Buffer.from(digest.slice(PREFIX.length), 'hex');
}

export function digestText(bytes: Uint8Array): string {
  return PREFIX + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
