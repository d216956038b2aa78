import { StoreError } from '../common/errors';

/** A line of NDJSON that is longer than any item of its kind. */
export class LineTooLongError extends StoreError {
  override readonly kind = 'too_large';
  override readonly code = 'line_too_long';
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;

export interface NdjsonLine {
  /** Counts from 1. */
  readonly number: number;
  /** Never empty; without its line break. */
  readonly bytes: Buffer;
}

/**
 * Cuts a stream into lines. Empty lines are left out, yet counted.
 *
 * @throws LineTooLongError
 */
export async function* ndjsonLines(
  source: AsyncIterable<Buffer>,
  maxBytes: number,
): AsyncGenerator<NdjsonLine> {
  let number = 0;
  let pieces: Buffer[] = [];
  let length = 0;
  const finish = (): NdjsonLine | null => {
    number++;
    const whole = Buffer.concat(pieces, length);
    pieces = [];
    length = 0;
    const bytes = whole.at(-1) === RETURN ? whole.subarray(0, -1) : whole;
    return bytes.length === 0 ? null : { number, bytes };
  };
  for await (const piece of source) {
    for (let at = 0; at < piece.length;) {
      const end = piece.indexOf(NEWLINE, at);
      const part = piece.subarray(at, end < 0 ? piece.length : end);
      length += part.length;
      if (length > maxBytes) {
        throw new LineTooLongError(`Line ${number + 1} is longer than ${maxBytes} bytes`, {
          line: number + 1,
          maxBytes,
        });
      }
      pieces.push(part);
      at = end < 0 ? piece.length : end + 1;
      const line = end < 0 ? null : finish();
      if (line) yield line;
    }
  }
  const last = length > 0 ? finish() : null;
  if (last) yield last;
}
