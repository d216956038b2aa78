/** Smaller memory may be part of what Node shares among buffers, and a copy of it costs nothing. */
const LEAST_BYTES = 64 * 1024;

/** The memory behind views that can change hands, each once; not what threads share, nor small ones. */
export function ownBuffers(views: Iterable<Uint8Array>): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { buffer } of views) {
    const isShared = buffer instanceof SharedArrayBuffer;
    if (!isShared && buffer.byteLength >= LEAST_BYTES) buffers.add(buffer);
  }
  return [...buffers];
}
