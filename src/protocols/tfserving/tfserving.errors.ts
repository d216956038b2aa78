import { BadSyntaxError, InvalidInputError, StoreError } from '../../common/errors';

/** An address under /v1/ that means nothing. */
export class MalformedRequestError extends BadSyntaxError {
  override readonly code = 'malformed_request';
}

/** There is no such model, or no such version of it that serves. */
export class ServableNotFoundError extends StoreError {
  override readonly kind = 'not_found';
  override readonly code = 'servable_not_found';
}

/** The model has no alias of that name: in this protocol no 404. */
export class UnknownLabelError extends InvalidInputError {
  override readonly code = 'unknown_label';
}

/** A signature that the version does not have. */
export class UnknownSignatureError extends InvalidInputError {
  override readonly code = 'unknown_signature';
}

/** A body that is JSON, and no request. */
export class BadRequestBodyError extends InvalidInputError {
  override readonly code = 'bad_request_body';
}

/** Outputs that the form of the answer has no room for. */
export class OutputFormError extends InvalidInputError {
  override readonly code = 'output_form';
}

/** What the protocol has a place for, and TensorFlow Serving does not do either. */
export class UnimplementedError extends InvalidInputError {
  static readonly CODE = 'unimplemented';
  override readonly code = UnimplementedError.CODE;
}
