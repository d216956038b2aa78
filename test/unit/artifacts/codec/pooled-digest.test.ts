import { CodecUnavailableError } from '../../../../src/artifacts/codec/codec.errors';
import { PooledDigest } from '../../../../src/artifacts/codec/pooled-digest';
import { type SegmentJob, type SegmentResult } from '../../../../src/artifacts/codec/segment-job';
import { entryPath } from '../../../../src/common/entry-path';
import { ThreadPool } from '../../../../src/common/thread-pool';

describe('PooledDigest', () => {
  it('fails when the thread that began it was replaced, and leaves others alone', async () => {
    const open = (): ThreadPool<SegmentJob, SegmentResult> =>
      new ThreadPool<SegmentJob, SegmentResult>({
        entry: entryPath(`${__dirname}/../../../../src/artifacts/codec`, 'segment.entry'),
        threads: 1,
        jobsPerThread: Infinity,
        lost: (message, cause) => new CodecUnavailableError(message, {}, { cause }),
      });
    const thread = open();
    const bytes = new Uint8Array(new SharedArrayBuffer(100_000));
    const digest = new PooledDigest(thread);
    await digest.follow(Promise.resolve(bytes)).hashed;

    // A job that no thread can do ends the one that is given it.
    const unknown = { kind: 'decode' } as unknown as SegmentJob;
    await expect(thread.run(unknown)).rejects.toBeInstanceOf(CodecUnavailableError);
    const other = new PooledDigest(thread);
    await other.follow(Promise.resolve(bytes)).hashed;

    await expect(digest.digest()).rejects.toBeInstanceOf(CodecUnavailableError);
    expect(await other.digest()).toMatch(/^[0-9a-f]{64}$/);
    await thread.close();
  });
});
