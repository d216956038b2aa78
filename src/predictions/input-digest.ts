import { BadDigestError } from './predictions.errors';

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
