import { Worker } from 'node:worker_threads';

import { entryPath } from '../../common/entry-path';
import { type Codec } from '../artifact';
import { type BlockCodec } from './block-codec';
import { type CodecJob, type CodecResult } from './codec-job';
import { CodecError } from './codec.errors';
import { decodeBlock, encodeBlock } from './zstd-block';

/** Below this a hand-over to a thread costs more than the work. */
const INLINE_BYTES = 64 * 1024;

interface Pending {
  readonly resolve: (block: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
}

/**
 * Encodes and decodes blocks on threads of its own, so that the service's event loop never does.
 *
 * Threads start with the first block and do not keep the process alive. A thread that dies fails
 * its blocks and is replaced with the next one.
 */
export class PooledCodec implements BlockCodec {
  private readonly threads: Thread[] = [];
  private nextId = 1;
  private closed = false;

  constructor(private readonly size: number) {}

  async encode(block: Uint8Array, codec: Codec): Promise<Uint8Array> {
    if (codec === 'raw' || block.length <= INLINE_BYTES) return encodeBlock(block, codec);
    return await this.run('encode', block, codec, 0);
  }

  async decode(encoded: Uint8Array, codec: Codec, rawBytes: number): Promise<Uint8Array> {
    if (codec === 'raw' || rawBytes <= INLINE_BYTES) return decodeBlock(encoded, codec, rawBytes);
    return await this.run('decode', encoded, codec, rawBytes);
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all(this.threads.splice(0).map(async ({ worker }) => await worker.terminate()));
  }

  private async run(
    kind: CodecJob['kind'],
    block: Uint8Array,
    codec: Codec,
    rawBytes: number,
  ): Promise<Uint8Array> {
    if (this.closed) throw new CodecError('The codec threads have been stopped');
    const { worker, pending } = this.leastBusyThread();
    const id = this.nextId++;
    return await new Promise((resolve, reject) => {
      pending.set(id, { resolve, reject });
      worker.ref();
      const job: CodecJob = { id, kind, codec, block, rawBytes };
      // A view of something larger (a chunk of a database reply) must stay with its owner.
      const whole = block.byteLength === block.buffer.byteLength;
      worker.postMessage(job, whole ? [block.buffer as ArrayBuffer] : []);
    });
  }

  private leastBusyThread(): Thread {
    if (this.threads.length < this.size && this.threads.every(({ pending }) => pending.size > 0)) {
      this.threads.push(this.startThread());
    }
    return this.threads.reduce((a, b) => (b.pending.size < a.pending.size ? b : a));
  }

  private startThread(): Thread {
    const thread: Thread = {
      worker: new Worker(entryPath(__dirname, 'codec.entry')),
      pending: new Map(),
    };
    const { worker, pending } = thread;
    worker.unref();
    worker.on('message', (result: CodecResult) => {
      const waiting = pending.get(result.id);
      pending.delete(result.id);
      if (pending.size === 0) worker.unref();
      if ('block' in result) waiting?.resolve(result.block);
      else waiting?.reject(new CodecError(result.error));
    });
    let failure: unknown;
    worker.on('error', (error) => {
      failure = error;
    });
    worker.on('exit', () => {
      const index = this.threads.indexOf(thread);
      if (index >= 0) this.threads.splice(index, 1);
      for (const { reject } of pending.values()) {
        reject(new CodecError('A codec thread stopped', {}, { cause: failure }));
      }
      pending.clear();
    });
    return thread;
  }
}
