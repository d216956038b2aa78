import { type ThreadPool } from '../../common/thread-pool';
import { CodecUnavailableError, StoredSegmentError } from './codec.errors';
import { buffersOf, type SegmentJob, type SegmentResult } from './segment-job';
import {
  type EncodedSegment,
  type FileEnd,
  type FileParts,
  type RunningFile,
} from './segment.codec';

let lastId = 0;

/**
 * A file that one thread decodes and hashes. What is decoded is made there and changes hands: its
 * first touch costs as much as the copy that this saves. What is encoded changes hands as well.
 */
export class PooledFile implements RunningFile {
  private readonly id = ++lastId;
  private isOpen = false;

  /** The pool must be of a single thread: that keeps the order, and the file is only there. */
  constructor(
    private readonly thread: ThreadPool<SegmentJob, SegmentResult>,
    private readonly rawBytes: number,
    private readonly parts: FileParts,
  ) {}

  async decode(segments: readonly EncodedSegment[]): Promise<readonly Uint8Array<ArrayBuffer>[]> {
    const job: SegmentJob = { kind: 'file-decode', file: this.id, segments };
    const result = await this.run(job, buffersOf(segments));
    return 'decodedTo' in result ? result.decodedTo : fail();
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

  private async run(
    job: SegmentJob,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<SegmentResult> {
    if (!this.isOpen) {
      this.isOpen = true;
      const { id: file, rawBytes, parts } = this;
      // Not waited for: the thread does one thing after the other.
      this.thread.run({ kind: 'file-open', file, rawBytes, parts }).catch(() => undefined);
    }
    return assertSound(await this.thread.run(job, transfer));
  }
}

/** @throws StoredSegmentError */
export function assertSound(result: SegmentResult): SegmentResult {
  if (!('corrupt' in result)) return result;
  throw new StoredSegmentError(result.corrupt, result.index, result.isInBase);
}

/** A thread that took the place of another knows nothing of its files, nor does one that failed them. */
function fail(): never {
  throw new CodecUnavailableError('The thread stopped that was decoding the file');
}
