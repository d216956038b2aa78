import { StoreError, UnavailableError } from '../common/errors';

/** Stored bytes are not what was stored: missing, altered, or of another length. */
export class ArtifactCorruptError extends StoreError {
  override readonly kind = 'corrupt';
  override readonly code = 'artifact_corrupt';
}

/** The bytes could not be written; nothing that was written counts as stored. */
export class ArtifactWriteError extends UnavailableError {
  override readonly code = 'artifact_not_written';
}
