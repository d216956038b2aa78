import { BadSyntaxError, StoreError, UnavailableError } from '../../common/errors';

/** A request that does not keep to the Open Inference Protocol. */
export class BadOipRequestError extends BadSyntaxError {
  override readonly code = 'bad_oip_request';
}

/** Something of the protocol, or of its extensions, that this server does not have. */
export class OipUnsupportedError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'oip_unsupported';
}

/** The time that the request gave itself ran out before an executor took it. */
export class OipTimeoutError extends UnavailableError {
  override readonly code = 'oip_timeout';
}
