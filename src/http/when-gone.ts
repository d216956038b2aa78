import { type ServerResponse } from 'node:http';

import { type CancelSignal } from '../common/cancel-signal';

/** Aborts when the connection closes before the answer went out. */
export function whenGone(response: ServerResponse): CancelSignal {
  return new GoneSignal(response);
}

class GoneSignal implements CancelSignal {
  private readonly listeners = new Map<() => void, () => void>();

  constructor(private readonly response: ServerResponse) {}

  get aborted(): boolean {
    const { destroyed, writableFinished } = this.response;
    return destroyed && !writableFinished;
  }

  addEventListener(_: 'abort', listener: () => void): void {
    const closed = (): void => {
      if (this.aborted) listener();
    };
    this.listeners.set(listener, closed);
    this.response.once('close', closed);
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    const closed = this.listeners.get(listener);
    this.listeners.delete(listener);
    if (closed) this.response.off('close', closed);
  }
}
