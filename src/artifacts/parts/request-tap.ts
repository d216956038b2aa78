import { finished, type Readable, Transform } from 'node:stream';

import { UploadIncompleteError, UploadTooLargeError } from './parts.errors';

/**
 * A stand-in for a request's body that can be destroyed at any time.
 *
 * Destroying the body itself would cut the connection, and with it the answer that says what was
 * wrong. Destroying the tap only lets go of the body: it stays paused, the rest of it unread and
 * nothing listening. A body that breaks off fails the tap with an `UploadIncompleteError`.
 */
export function tapBody(body: Readable, maxBytes: number): Readable {
  let bytes = 0;
  const tap = new Transform({
    transform(piece: Buffer, _encoding, done) {
      bytes += piece.length;
      if (bytes > maxBytes) done(new UploadTooLargeError(maxBytes));
      else done(null, piece);
    },
    destroy(error, done) {
      body.unpipe(tap);
      letGo();
      done(error);
    },
  });
  const letGo = finished(body, { writable: false }, (cause) => {
    if (!cause) return;
    tap.destroy(new UploadIncompleteError('The upload broke off before its end', {}, { cause }));
  });
  // Whoever reads the tap gets its failure; when no one does any more, there is no one to tell.
  tap.on('error', () => undefined);
  return body.pipe(tap);
}
