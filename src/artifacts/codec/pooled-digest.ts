import { type ThreadPool } from '../../common/thread-pool';
import { CodecUnavailableError } from './codec.errors';
import { type SegmentJob, type SegmentResult } from './segment-job';
import { type RunningDigest } from './segment.codec';

let lastId = 0;

/**
 * A digest on a thread that does nothing else, so that bytes are hashed while the next ones are
 * decoded. The pool must have one thread only, since that is what keeps their order.
 */
export class PooledDigest implements RunningDigest {
  private readonly id = ++lastId;
  private last: Promise<void> = Promise.resolve();
  private isBegun = false;
  private isClosed = false;

  constructor(private readonly thread: ThreadPool<SegmentJob, SegmentResult>) {}

  /**
   * Takes bytes in that come later, at the place of this call; they must be shared memory and stay
   * as they are until `hashed` settles. `before` settles once the bytes before them are hashed.
   */
  follow(bytes: Promise<Uint8Array>): {
    readonly before: Promise<void>;
    readonly hashed: Promise<void>;
  } {
    const before = this.last;
    const hashed = this.update(bytes, before);
    // Told of by `digest`; whoever decodes fails by itself.
    hashed.catch(() => undefined);
    this.last = hashed;
    return { before, hashed };
  }

  async digest(): Promise<string> {
    await this.last;
    await this.begin(new Uint8Array(0));
    this.isClosed = true;
    const result = await this.thread.run({ kind: 'digest-end', digest: this.id });
    if ('hash' in result) return result.hash;
    throw new CodecUnavailableError('The thread stopped that was hashing');
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    const end = async (): Promise<void> => {
      if (!this.isBegun) return;
      await this.thread.run({ kind: 'digest-end', digest: this.id });
    };
    // What is under way comes first, or it would begin the digest anew.
    this.last.then(end, end).catch(() => undefined);
  }

  private async update(bytes: Promise<Uint8Array>, before: Promise<void>): Promise<void> {
    const [raw] = await Promise.all([bytes, before]);
    await this.begin(raw);
  }

  private async begin(raw: Uint8Array): Promise<void> {
    const isFirst = !this.isBegun;
    this.isBegun = true;
    await this.thread.run({ kind: 'digest-update', digest: this.id, raw, isFirst });
  }
}
