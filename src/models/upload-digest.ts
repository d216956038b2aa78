import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';

import { BadSyntaxError } from '../common/errors';
import { DigestMismatchError } from './models.errors';

/** Hashes a body on its way through and compares it with what the caller announced. */
export class BodyDigest extends Transform {
  private readonly hash = createHash('sha256');

  constructor(private readonly announced: string) {
    super();
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.hash.update(piece);
    done(null, piece);
  }

  /** To be asked once, after the whole body went through. @throws DigestMismatchError */
  assertMatches(): void {
    const actual = this.hash.digest('base64');
    if (actual !== this.announced) {
      throw new DigestMismatchError(
        'The body differs from its Content-Digest; nothing was stored',
        {
          expected: `sha-256=:${this.announced}:`,
          actual: `sha-256=:${actual}:`,
        },
      );
    }
  }
}

/**
 * Reads `Content-Digest` (RFC 9530) and gives the stream that checks it; null without the header.
 *
 * @throws BadSyntaxError for a header without a SHA-256
 */
export function digestCheck(header: string | undefined): BodyDigest | null {
  if (header === undefined) return null;
  const announced = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*(?:,|$)/i.exec(header)?.[1];
  if (announced === undefined) {
    throw new BadSyntaxError('Content-Digest takes a SHA-256, as sha-256=:<base64>:');
  }
  return new BodyDigest(announced);
}
