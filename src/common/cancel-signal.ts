/**
 * What a wait needs of an `AbortSignal`, and what one is. To make a real one for each request costs
 * as much as to read its headers.
 */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
