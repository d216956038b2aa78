import { MessageChannel } from 'node:worker_threads';

/** Smaller memory may be part of what Node shares among buffers, and is not worth it. */
const LEAST_BYTES = 64 * 1024;

// What is handed over to where nobody is goes back to the system at once.
const { port1: nowhere, port2 } = new MessageChannel();
port2.close();

/**
 * Gives memory back that is not needed any more, without waiting for a collection: V8 lets several
 * replies of megabytes stand before it looks. Every view of the same memory is empty afterwards.
 */
export function giveBack(bytes: Iterable<Uint8Array>): void {
  const buffers = new Set<ArrayBuffer>();
  for (const { buffer } of bytes) {
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= LEAST_BYTES) buffers.add(buffer);
  }
  nowhere.postMessage(null, [...buffers]);
}
