const SMALLEST_BYTES = 64 * 1024;

/** Bytes that another thread can see, and what to do when it no longer needs to. */
export interface Shared {
  readonly bytes: Uint8Array;
  readonly release: () => void;
}

/**
 * Memory shared with threads, handed out again and again: fresh memory would cost more than the
 * copies into it. At most `kept` buffers are held while nobody uses them.
 */
export class SharedMemory {
  private readonly free: SharedArrayBuffer[] = [];

  constructor(private readonly kept: number) {}

  /** A view of the same memory where it is shared already, else of a copy. */
  share(bytes: Uint8Array): Shared {
    if (bytes.buffer instanceof SharedArrayBuffer) return { bytes, release: () => undefined };
    const copy = this.take(bytes.length);
    copy.bytes.set(bytes);
    return copy;
  }

  /** Memory of that length, with anything in it. */
  take(length: number): Shared {
    const index = this.free.findIndex(({ byteLength }) => byteLength >= length);
    const [found] = index < 0 ? [] : this.free.splice(index, 1);
    const buffer = found ?? new SharedArrayBuffer(roundUp(length));
    return {
      bytes: new Uint8Array(buffer, 0, length),
      release: () => {
        this.free.push(buffer);
        // The smallest goes: whatever fits into it fits into the others.
        this.free.sort((a, b) => a.byteLength - b.byteLength);
        if (this.free.length > this.kept) this.free.shift();
      },
    };
  }
}

/** Few sizes, so that what is free mostly fits; at most an eighth is wasted. */
function roundUp(length: number): number {
  const step = Math.max(SMALLEST_BYTES, 2 ** (Math.floor(Math.log2(length)) - 3));
  return Math.max(1, Math.ceil(length / step)) * step;
}
