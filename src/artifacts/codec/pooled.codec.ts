import { Worker } from 'node:worker_threads';

import { entryPath } from '../../common/entry-path';
import { CodecError, CodecUnavailableError } from './codec.errors';
import { decodeSegment } from './segment-decoder';
import { encodeSegment } from './segment-encoder';
import { type Numbered, type SegmentJob, type SegmentResult } from './segment-job';
import { type SegmentCodec, type SegmentHint } from './segment.codec';
import { sha256 } from './sha256';
import { type Shared, SharedMemory } from './shared-memory';

/** Below these a hand-over to a thread costs more than the work; encoding tries out several ways. */
const INLINE_BYTES = 64 * 1024;
const INLINE_ENCODE_BYTES = 4 * 1024;

interface Pending {
  readonly resolve: (result: SegmentResult) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
}

/**
 * Works on threads of its own, so that the service's event loop spends no more than copies.
 *
 * Threads start with the first segment and do not keep the process alive. A thread that dies fails
 * its segments and is replaced with the next one.
 */
export class PooledCodec implements SegmentCodec {
  private readonly threads: Thread[] = [];
  private readonly memory: SharedMemory;
  private nextId = 1;
  private closed = false;

  constructor(private readonly size: number) {
    this.memory = new SharedMemory(4 * size);
  }

  async hash(raw: Uint8Array): Promise<string> {
    if (raw.length <= INLINE_BYTES) return sha256(raw);
    return await this.sharing([raw, undefined], async ([bytes]) => {
      const result = await this.run({ kind: 'hash', raw: bytes });
      return 'hash' in result ? result.hash : fail();
    });
  }

  async encode(raw: Uint8Array, hint: SegmentHint = {}): Promise<Uint8Array> {
    if (raw.length <= INLINE_ENCODE_BYTES) return encodeSegment(raw, hint);
    return await this.sharing([raw, hint.base], async ([bytes, base]) => {
      const { dtype } = hint;
      const result = await this.run({ kind: 'encode', raw: bytes, dtype, base });
      return 'encoded' in result ? result.encoded : fail();
    });
  }

  async decode(encoded: Uint8Array, target: Uint8Array, base?: Uint8Array): Promise<void> {
    if (target.length <= INLINE_BYTES) {
      decodeSegment(encoded, target, base);
      return;
    }
    await this.sharing([encoded, base], async ([bytes, sharedBase]) => {
      const isShared = target.buffer instanceof SharedArrayBuffer;
      const made = isShared ? undefined : this.memory.take(target.length);
      const shared = made?.bytes ?? target;
      try {
        await this.run({ kind: 'decode', encoded: bytes, target: shared, base: sharedBase });
        if (made) target.set(shared);
      } finally {
        made?.release();
      }
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all(this.threads.splice(0).map(async ({ worker }) => await worker.terminate()));
  }

  /** Gives `use` what threads can see of the first, and of the second if there is one. */
  private async sharing<T>(
    [first, second]: readonly [Uint8Array, Uint8Array | undefined],
    use: (shared: readonly [Uint8Array, Uint8Array | undefined]) => Promise<T>,
  ): Promise<T> {
    const held: Shared[] = [this.memory.share(first)];
    if (second) held.push(this.memory.share(second));
    try {
      return await use([held[0]?.bytes ?? first, held[1]?.bytes]);
    } finally {
      for (const { release } of held) release();
    }
  }

  private async run(job: SegmentJob): Promise<SegmentResult> {
    if (this.closed) throw new CodecUnavailableError('The codec threads have been stopped');
    const { worker, pending } = this.leastBusyThread();
    const id = this.nextId++;
    const result = await new Promise<SegmentResult>((resolve, reject) => {
      pending.set(id, { resolve, reject });
      worker.ref();
      const question: Numbered<SegmentJob> = { id, content: job };
      worker.postMessage(question);
    });
    if ('corrupt' in result) throw new CodecError(result.corrupt);
    return result;
  }

  private leastBusyThread(): Thread {
    if (this.threads.length < this.size && this.threads.every(({ pending }) => pending.size > 0)) {
      this.threads.push(this.startThread());
    }
    return this.threads.reduce((a, b) => (b.pending.size < a.pending.size ? b : a));
  }

  private startThread(): Thread {
    const worker = new Worker(entryPath(__dirname, 'segment.entry'));
    const thread: Thread = { worker, pending: new Map() };
    const { pending } = thread;
    worker.unref();
    worker.on('message', ({ id, content }: Numbered<SegmentResult>) => {
      const waiting = pending.get(id);
      pending.delete(id);
      if (pending.size === 0) worker.unref();
      waiting?.resolve(content);
    });
    let failure: unknown;
    worker.on('error', (error) => {
      failure = error;
    });
    worker.on('exit', () => {
      const index = this.threads.indexOf(thread);
      if (index >= 0) this.threads.splice(index, 1);
      for (const { reject } of pending.values()) {
        reject(new CodecUnavailableError('A codec thread stopped', {}, { cause: failure }));
      }
      pending.clear();
    });
    return thread;
  }
}

function fail(): never {
  throw new CodecUnavailableError('A codec thread answered another question');
}
