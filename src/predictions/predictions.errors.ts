import { BadSyntaxError, StoreError, UnavailableError } from '../common/errors';

export class PredictionNotFoundError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'prediction_not_found';
}

/** The text is no id of a prediction: those are 24 hexadecimal digits. */
export class BadPredictionIdError extends BadSyntaxError {
  override readonly code = 'bad_prediction_id';
}

/** The text is no digest of an input. */
export class BadDigestError extends BadSyntaxError {
  override readonly code = 'bad_digest';
}

/** Feedback by the id of a caller that names no model, or no id. */
export class BadCallerIdError extends BadSyntaxError {
  override readonly code = 'bad_caller_id';
}

/** The record of a prediction could not be written, so its result is withheld. */
export class RecordingUnavailableError extends UnavailableError {
  override readonly code = 'recording_unavailable';
}

/** More predictions wait to be recorded than memory is set aside for. */
export class RecordingQueueFullError extends StoreError {
  override readonly kind = 'overloaded';
  override readonly code = 'recording_queue_full';
}

/** The outputs of a prediction are larger than a record can hold. */
export class OutputTooLargeError extends StoreError {
  override readonly kind = 'too_large';
  override readonly code = 'output_too_large';
}

/** Stored bytes of an input that are not those of its digest. */
export class InputCorruptError extends StoreError {
  override readonly kind = 'corrupt';
  override readonly code = 'input_corrupt';
}

/** The record is there, but not the bytes of its input. */
export class InputMissingError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'input_missing';
}

/** The record is there, and the bytes of its input were erased; details say when and why. */
export class InputErasedError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'input_erased';
}

/** A prediction that failed has no outputs. */
export class OutputsMissingError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'outputs_missing';
}

/** More large bodies wait to be read than memory is set aside for. */
export class ReadingOverloadedError extends StoreError {
  override readonly kind = 'overloaded';
  override readonly code = 'reading_overloaded';
}

/** The thread that read a body died, or was stopped. */
export class RequestReaderLostError extends UnavailableError {
  override readonly code = 'request_reader_lost';
}
