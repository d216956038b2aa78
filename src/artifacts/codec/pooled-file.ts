import { type ThreadPool } from '../../common/thread-pool';
import { CodecError, CodecUnavailableError } from './codec.errors';
import { type SegmentJob, type SegmentResult } from './segment-job';
import { type FileEnd, type FileParts, type RunningFile } from './segment.codec';
import { type SharedMemory } from './shared-memory';

let lastId = 0;

/**
 * A file that one thread decodes and hashes. What is decoded is made there and changes hands: its
 * first touch costs as much as the copy that this saves.
 */
export class PooledFile implements RunningFile {
  private readonly id = ++lastId;
  private isOpen = false;

  /** The pool must be of a single thread: that keeps the order, and the file is only there. */
  constructor(
    private readonly thread: ThreadPool<SegmentJob, SegmentResult>,
    private readonly memory: SharedMemory,
    private readonly rawBytes: number,
    private readonly parts: FileParts,
  ) {}

  async decode(
    encoded: Uint8Array,
    rawBytes: number,
    base?: Uint8Array,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const shared = this.memory.share(encoded);
    const sharedBase = base && this.memory.share(base);
    try {
      const segment = { encoded: shared.bytes, rawBytes, base: sharedBase?.bytes };
      const result = await this.run({ kind: 'file-decode', file: this.id, ...segment });
      return 'decodedTo' in result ? result.decodedTo : fail();
    } finally {
      shared.release();
      sharedBase?.release();
    }
  }

  async end(): Promise<FileEnd> {
    const result = await this.run({ kind: 'file-end', file: this.id });
    this.isOpen = false;
    return 'end' in result ? result.end : fail();
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    // A thread that is gone has let go of it as well.
    this.thread.run({ kind: 'file-end', file: this.id }).catch(() => undefined);
  }

  private async run(job: SegmentJob): Promise<SegmentResult> {
    if (!this.isOpen) {
      this.isOpen = true;
      const { id: file, rawBytes, parts } = this;
      // Not waited for: the thread does one thing after the other.
      this.thread.run({ kind: 'file-open', file, rawBytes, parts }).catch(() => undefined);
    }
    const result = await this.thread.run(job);
    if ('corrupt' in result) throw new CodecError(result.corrupt);
    return result;
  }
}

/** A thread that took the place of another knows nothing of its files, nor does one that failed them. */
function fail(): never {
  throw new CodecUnavailableError('The thread stopped that was decoding the file');
}
