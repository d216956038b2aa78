import { InvalidInputError } from '../common/errors';

/** An artifact whose format is known, and which could not be loaded as it is. */
export class InvalidArtifactError extends InvalidInputError {
  override readonly code = 'invalid_artifact';
}

/** An artifact in none of the formats that are opened here. */
export class UnrecognisedArtifactError extends InvalidInputError {
  override readonly code = 'unrecognised_artifact';
}
