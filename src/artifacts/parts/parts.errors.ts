import { BadSyntaxError, InvalidInputError, StoreError } from '../../common/errors';

/** A member's name may itself be the attack: faults quote only its beginning. */
const QUOTED_CHARACTERS = 200;

/** The request ended before its body did. */
export class UploadIncompleteError extends BadSyntaxError {
  override readonly code = 'upload_incomplete';
}

/** A form that no reader could take apart, or that breaks the rules of this route's form. */
export class MultipartSyntaxError extends BadSyntaxError {
  override readonly code = 'multipart_malformed';
}

/** The body is of a type, or in an encoding, that is not taken. */
export class UploadTypeError extends StoreError {
  override readonly kind = 'unsupported_media_type';
  override readonly code = 'unsupported_media_type';
}

/** More bytes than an upload may have, as sent or unpacked. */
export class UploadTooLargeError extends StoreError {
  override readonly kind = 'too_large';
  override readonly code = 'too_large';

  constructor(maxBytes: number) {
    super(`The upload is larger than ${maxBytes} bytes`, { maxBytes });
  }
}

/** An archive whose bytes do not hold together: cut off, altered, or contradicting itself. */
export class ArchiveDamagedError extends InvalidInputError {
  override readonly code = 'archive_damaged';

  constructor(path: string, message: string, cause?: unknown) {
    super('The archive cannot be unpacked', [{ path: quoted(path), message }]);
    if (cause !== undefined) this.cause = cause;
  }
}

/** A member which is readable but must not become a file of an artifact. */
export class MemberRefusedError extends InvalidInputError {
  override readonly code = 'member_refused';

  constructor(path: string, message: string) {
    super('The upload holds a file that cannot be taken', [{ path: quoted(path), message }]);
  }
}

function quoted(path: string): string {
  return path.length > QUOTED_CHARACTERS ? `${path.slice(0, QUOTED_CHARACTERS)}…` : path;
}
