import assert from 'node:assert/strict';
import { type ResourceLimits } from 'node:worker_threads';

import { entryPath } from '../../common/entry-path';
import { ThreadPool } from '../../common/thread-pool';
import { CodecUnavailableError } from './codec.errors';
import { InlineFile } from './inline-file';
import { assertSound, PooledFile } from './pooled-file';
import { encodeSegment } from './segment-encoder';
import { buffersOf, type SegmentJob, type SegmentResult } from './segment-job';
import {
  type DecodedParts,
  type DecodedSegment,
  type EncodedSegment,
  type FileParts,
  type RunningFile,
  type SegmentCodec,
  type SegmentHint,
} from './segment.codec';
import { sha256 } from './sha256';
import { type Shared, SharedMemory } from './shared-memory';
import { decodeEachNow, decodeStored } from './stored-segment';

/** Below these a hand-over to a thread costs more than the work; encoding tries out several ways. */
const INLINE_BYTES = 64 * 1024;
const INLINE_ENCODE_BYTES = 4 * 1024;

/**
 * Threads hold on to shared memory that they have seen until their next collection: with a small
 * young generation that is soon, with the usual one it would be after minutes.
 */
const THREAD_LIMITS: ResourceLimits = { maxYoungGenerationSizeMb: 2 };

/**
 * Works on threads of its own, so that the service's event loop spends no more than copies.
 *
 * A thread that dies fails its segments and is replaced with the next one.
 */
export class PooledCodec implements SegmentCodec {
  private readonly threads: ThreadPool<SegmentJob, SegmentResult>;
  /** Of one thread each: a file stays on its own. They start when they are needed. */
  private readonly fileThreads: readonly ThreadPool<SegmentJob, SegmentResult>[];
  private nextFileThread = 0;
  private readonly memory: SharedMemory;

  constructor(size: number) {
    this.memory = new SharedMemory(4 * size);
    this.threads = openThreads(size);
    this.fileThreads = Array.from({ length: size }, () => openThreads(1));
  }

  async hash(raw: Uint8Array): Promise<string> {
    if (raw.length <= INLINE_BYTES) return sha256(raw);
    return await this.sharing([raw, undefined], async ([bytes]) => {
      const result = await this.threads.run({ kind: 'hash', raw: bytes });
      return 'hash' in result ? result.hash : fail();
    });
  }

  async encode(raw: Uint8Array, hint: SegmentHint = {}): Promise<Uint8Array> {
    if (raw.length <= INLINE_ENCODE_BYTES) return encodeSegment(raw, hint);
    return await this.sharing([raw, hint.base], async ([bytes, base]) => {
      const { dtype } = hint;
      const result = await this.threads.run({ kind: 'encode', raw: bytes, dtype, base });
      return 'encoded' in result ? result.encoded : fail();
    });
  }

  async decode(segment: EncodedSegment, target: Uint8Array): Promise<void> {
    if (target.length <= INLINE_BYTES) {
      decodeStored(segment, target);
      return;
    }
    const { pieces, rawBytes, base } = segment;
    // Copies, since what a thread is given is gone.
    const copy = { pieces: pieces.map(copied), rawBytes, ...(base && { base: base.map(copied) }) };
    const [decoded] = await this.decodeEach([copy], 'bytes');
    target.set(decoded?.bytes ?? fail());
  }

  async decodeEach(
    segments: readonly EncodedSegment[],
    wanted: DecodedParts,
  ): Promise<readonly DecodedSegment[]> {
    const bytes = segments.reduce((sum, { rawBytes }) => sum + rawBytes, 0);
    if (bytes <= INLINE_BYTES) return decodeEachNow(segments, wanted);
    const job: SegmentJob = { kind: 'decode-each', segments, wanted };
    const result = assertSound(await this.threads.run(job, buffersOf(segments)));
    return 'decoded' in result ? result.decoded : fail();
  }

  openFile(rawBytes: number, parts: FileParts): RunningFile {
    if (rawBytes <= INLINE_BYTES) return new InlineFile(rawBytes, parts);
    const thread = this.fileThreads[this.nextFileThread++ % this.fileThreads.length];
    assert(thread);
    return new PooledFile(thread, rawBytes, parts);
  }

  async close(): Promise<void> {
    await Promise.all(
      [this.threads, ...this.fileThreads].map(async (pool) => {
        await pool.close();
      }),
    );
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
}

function openThreads(threads: number): ThreadPool<SegmentJob, SegmentResult> {
  return new ThreadPool({
    entry: entryPath(__dirname, 'segment.entry'),
    threads,
    // Segments are short work: a thread has the next before it has answered.
    jobsPerThread: Infinity,
    resourceLimits: THREAD_LIMITS,
    lost: (message, cause) => new CodecUnavailableError(message, {}, { cause }),
  });
}

function copied(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}

function fail(): never {
  throw new CodecUnavailableError('A codec thread answered another question');
}
