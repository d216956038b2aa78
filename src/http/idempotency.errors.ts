import { BadSyntaxError, type ErrorKind, StoreError } from '../common/errors';

export class IdempotencyKeyInvalidError extends BadSyntaxError {
  override readonly code = 'idempotency_key_invalid';
}

/** The first request with the key is still at work. */
export class IdempotencyKeyInFlightError extends StoreError {
  override readonly kind = 'conflict';
  override readonly code = 'idempotency_key_in_flight';
}

/** The key was used before, for something else. */
export class IdempotencyKeyReusedError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code = 'idempotency_key_reused';
}

/** A refusal that was given before under the same key, given again. */
export class RepeatedRefusalError extends StoreError {
  override readonly kind: ErrorKind;
  override readonly code: string;

  constructor({ kind, code, message, details }: Refusal) {
    super(message, details);
    this.kind = kind;
    this.code = code;
  }
}

/** What is kept of a `StoreError`. */
export interface Refusal {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}
