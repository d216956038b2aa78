import { StoreError, UnavailableError } from '../../common/errors';

/** A block that is not what was encoded. */
export class CodecError extends StoreError {
  override readonly kind = 'corrupt';
  override readonly code = 'block_corrupt';
}

/** One of several segments is not what was encoded, or what it is a difference to is not. */
export class StoredSegmentError extends CodecError {
  constructor(
    message: string,
    readonly index: number,
    readonly isInBase: boolean,
    options?: ErrorOptions,
  ) {
    super(message, {}, options);
  }
}

/** The threads that encode and decode have been stopped, or one of them died at its work. */
export class CodecUnavailableError extends UnavailableError {
  override readonly code = 'codec_unavailable';
}
