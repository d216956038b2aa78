import { InvalidInputError, StoreError, UnavailableError } from '../common/errors';
import { type HoldDoc } from './holds.repository';

export class ModelNotFoundError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'model_not_found';
}

export class VersionNotFoundError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'version_not_found';
}

export class FileNotFoundError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'file_not_found';
}

export class AliasNotFoundError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'alias_not_found';
}

/** The version exists and cannot do what was asked in the state it is in. */
export class VersionNotReadyError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'version_not_ready';
}

/** The version is stored to be kept and downloaded; nothing here can run it. */
export class NotServableError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'not_servable';
}

/** Somebody holds it, or what it belongs to: it must not be taken away. Details name the hold. */
export class HeldError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'held';

  constructor(what: string, { kind, target, reason, heldAt }: HoldDoc) {
    super(`${what} is held: ${reason}`, {
      hold: { kind, target, reason, heldAt: heldAt.toISOString() },
    });
  }
}

/** There is no hold on it by itself. */
export class HoldNotFoundError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'hold_not_found';
}

/** An alias still points at the version, or at a version of the model. */
export class VersionInUseError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'version_in_use';
}

/** Rolling back has nowhere to go: the alias never pointed anywhere else. */
export class NoPreviousVersionError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'no_previous_version';
}

/** The target of an alias move is damaged or failed its warm-up; nothing was moved. */
export class TargetUnfitError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'target_unfit';
}

/** Somebody else moved the alias meanwhile. */
export class AliasMovedError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'alias_moved';
}

export class TooManyTagsError extends InvalidInputError {
  override readonly code = 'too_many_tags';
}

/** `If-Match` names a revision that is no longer the newest. */
export class RevisionMismatchError extends StoreError {
  override readonly kind = 'precondition_failed';
  override readonly code = 'revision_mismatch';
}

/** The bytes were stored but did not prove themselves; the version keeps its number as `failed`. */
export class VersionRejectedError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'version_rejected';
}

/** The upload took so long without a sign of life that its bytes were given up. */
export class UploadAbandonedError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'upload_abandoned';
}

/** An upload of the same content is at work and takes long; whether it succeeds is not known yet. */
export class TwinPendingError extends UnavailableError {
  override readonly code = 'same_content_pending';
}

/** Stored bytes of others, which the upload relied upon, are damaged; they are not used again. */
export class StoredBytesDamagedError extends UnavailableError {
  override readonly code = 'stored_bytes_damaged';
}

/** What arrived differs from the digest that the caller declared. */
export class DigestMismatchError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'digest_mismatch';
}

export class RangeNotSatisfiableError extends StoreError {
  override readonly kind = 'range_not_satisfiable';
  override readonly code = 'range_not_satisfiable';
}
