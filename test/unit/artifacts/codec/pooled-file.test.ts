import { CodecUnavailableError } from '../../../../src/artifacts/codec/codec.errors';
import { PooledFile } from '../../../../src/artifacts/codec/pooled-file';
import { encodeSegment } from '../../../../src/artifacts/codec/segment-encoder';
import { type SegmentJob, type SegmentResult } from '../../../../src/artifacts/codec/segment-job';
import { sha256 } from '../../../../src/artifacts/codec/sha256';
import { entryPath } from '../../../../src/common/entry-path';
import { ThreadPool } from '../../../../src/common/thread-pool';

describe('PooledFile', () => {
  it('fails when the thread that had it was replaced, and leaves others alone', async () => {
    const thread = new ThreadPool<SegmentJob, SegmentResult>({
      entry: entryPath(`${__dirname}/../../../../src/artifacts/codec`, 'segment.entry'),
      threads: 1,
      jobsPerThread: Infinity,
      lost: (message, cause) => new CodecUnavailableError(message, {}, { cause }),
    });
    const raw = new Uint8Array(100_000);
    const open = (): PooledFile => new PooledFile(thread, 2 * raw.length, 'whole');
    const segments = [{ pieces: [encodeSegment(raw)], rawBytes: raw.length }];
    const file = open();
    await file.decode(segments);

    // A job that no thread can do ends the one that is given it.
    const unknown = { kind: 'hash' } as unknown as SegmentJob;
    await expect(thread.run(unknown)).rejects.toBeInstanceOf(CodecUnavailableError);
    const other = open();
    await other.decode(segments);

    await expect(file.decode(segments)).rejects.toBeInstanceOf(CodecUnavailableError);
    await expect(file.end()).rejects.toBeInstanceOf(CodecUnavailableError);
    await other.decode(segments);
    expect((await other.end()).sha256).toBe(sha256(new Uint8Array(2 * raw.length)));
    await thread.close();
  });
});
