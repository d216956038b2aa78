import { InvalidInputError, StoreError } from '../common/errors';

/** The header of an image announces more pixels than are decoded. */
export class ImageTooLargeError extends StoreError {
  override readonly kind = 'too_large';
  override readonly code = 'image_too_large';
}

/** The bytes are no image of a kind that is taken, whatever name and type they came with. */
export class NotAnImageError extends StoreError {
  override readonly kind = 'unsupported_media_type';
  override readonly code = 'not_an_image';
}

/** The bytes begin like an image and do not go on like one. */
export class ImageDamagedError extends InvalidInputError {
  override readonly code = 'image_damaged';
}

/** The version has no single input that an image could be turned into. */
export class NoImageInputError extends InvalidInputError {
  override readonly code = 'no_image_input';
}
