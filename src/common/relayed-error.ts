import { type ErrorKind, StoreError } from './errors';

/** A `StoreError` as it crosses to another thread or process: its class does not. */
export interface WireError {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What makes a failure on the other side; `RelayedError` is the way back. */
export function toWire({ kind, code, message, details }: StoreError): WireError {
  return { kind, code, message, details };
}

/** A failure in another thread or process: answered as it would have been there. */
export class RelayedError extends StoreError {
  override readonly kind: ErrorKind;
  override readonly code: string;

  constructor({ kind, code, message, details }: WireError) {
    super(message, details);
    this.kind = kind;
    this.code = code;
  }
}
