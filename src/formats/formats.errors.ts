import { InvalidInputError } from '../common/errors';

/** An artifact whose format is known, and which could not be loaded as it is. */
export class InvalidArtifactError extends InvalidInputError {
  override readonly code = 'invalid_artifact';
}

/** A part of a model that says nothing without the rest of it. */
export class UnrecognisedArtifactError extends InvalidInputError {
  override readonly code = 'unrecognised_artifact';
}
