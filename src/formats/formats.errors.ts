import { InvalidInputError, StoreError } from '../common/errors';

/** An artifact whose format is known, and which could not be loaded as it is. */
export class InvalidArtifactError extends InvalidInputError {
  override readonly code = 'invalid_artifact';
}

/** A part of a model that says nothing without the rest of it. */
export class UnrecognisedArtifactError extends InvalidInputError {
  override readonly code = 'unrecognised_artifact';
}

/** Bytes that are not of the format that they are read as; says where the reading ended. */
export class FormatSyntaxError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'format_syntax';
}
