import { type EventEmitter } from 'node:events';
import { type ServerResponse } from 'node:http';

import { type CancelSignal } from '../common/cancel-signal';

/** Aborts when the connection closes before the answer went out. */
export function whenGone(response: ServerResponse): CancelSignal {
  return new GoneSignal(response);
}

class GoneSignal implements CancelSignal {
  private readonly listeners = new Map<
    () => void,
    { readonly closed: () => void; readonly of: EventEmitter }
  >();

  constructor(private readonly response: ServerResponse) {}

  get aborted(): boolean {
    const { destroyed, writableFinished, req } = this.response;
    return (destroyed || req.socket.destroyed) && !writableFinished;
  }

  addEventListener(_: 'abort', listener: () => void): void {
    const closed = (): void => {
      if (this.aborted) listener();
    };
    const of = this.whatCloses();
    this.listeners.set(listener, { closed, of });
    of.once('close', closed);
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    const added = this.listeners.get(listener);
    this.listeners.delete(listener);
    if (added) added.of.off('close', added.closed);
  }

  /** An answer that waits behind others of its connection is not told when that closes. */
  private whatCloses(): EventEmitter {
    const { socket, req } = this.response;
    if (socket) return this.response;
    // However many a client sent at once, each of their answers may wait here.
    return req.socket.setMaxListeners(0);
  }
}
