/** The closed set of failure kinds; each protocol maps a kind to its own status and body. */
export const ERROR_KINDS = [
  'bad_syntax',
  'invalid',
  'unsupported_media_type',
  'too_large',
  'range_not_satisfiable',
  'not_found',
  'method_not_allowed',
  'conflict',
  'precondition_failed',
  'unauthenticated',
  'forbidden',
  'too_many_requests',
  'overloaded',
  'deadline',
  'corrupt',
  'unavailable',
] as const;
export type ErrorKind = (typeof ERROR_KINDS)[number];

/** One thing wrong with an input, and where: `path` points into what the caller sent. */
export interface Fault {
  readonly path: string;
  readonly message: string;
}

/**
 * The one family of failures that a caller can act on.
 *
 * Anything else that reaches the edge is a defect: logged once, answered 500 without internals.
 */
export abstract class StoreError extends Error {
  abstract readonly kind: ErrorKind;
  /** Stable and machine-readable, e.g. `version_not_ready`. Clients may branch on it. */
  abstract readonly code: string;

  constructor(
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An input that was understood and is wrong; carries every fault found, with its path. */
export class InvalidInputError extends StoreError {
  override readonly kind = 'invalid';
  override readonly code: string = 'invalid_input';

  constructor(message: string, faults: readonly Fault[] = [], details: object = {}) {
    super(message, faults.length > 0 ? { faults, ...details } : { ...details });
  }
}

/** An input that could not be read at all: broken JSON, a bad query parameter, a malformed id. */
export class BadSyntaxError extends StoreError {
  override readonly kind = 'bad_syntax';
  override readonly code: string = 'bad_syntax';
}

/** Something outside this process, or this process itself while it starts or stops, cannot serve now. */
export class UnavailableError extends StoreError {
  override readonly kind = 'unavailable';
  override readonly code: string = 'unavailable';
}
