import { setImmediate } from 'node:timers/promises';

import { type BlobRef, type SegmentRef } from './artifact';
import { ArtifactCorruptError } from './artifact.errors';
import { type ArtifactStore } from './artifact.store';
import { type BaseSegments, placeKey } from './base-segments';
import { blobIdAt, type BlobStore, type EncodedBlob } from './blob.store';
import { type SegmentCodec } from './codec/segment.codec';
import { encodeSmallest } from './encode-smallest';
import { type Segment } from './segmenter';
import { type UploadClaims } from './upload-claims.port';
import { findClaimed } from './use-blobs';

/** Segments that go through the steps together: one look-up, one claim and few inserts for all. */
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_SEGMENTS = 256;

/** Batches under way at once: one is encoded while the other is looked up or travels. */
const PARALLEL_BATCHES = 2;

/** A base is fetched, decoded and tried out in vain at a cost: worth avoiding for these and larger. */
const LARGE_BYTES = 256 * 1024;

/** After so many that were not worth it, only one of many large segments is tried as a difference. */
const PATIENCE = 4;
const TRY_ONE_OF = 16;

/** A segment on its way, and where it stands in the upload. */
export interface Place {
  readonly path: string;
  readonly offset: number;
}

interface Job extends Segment {
  readonly place: Place;
  readonly done: Deferred;
}

/**
 * Turns the segments of one upload into blobs: hash, look for equal content, look for a base,
 * encode, write.
 *
 * Equal segments become one blob. Memory is bounded: `add` waits while enough is under way. After
 * a failure every later call fails with it.
 */
export class BlobWriter {
  private batch: Job[] = [];
  private batchBytes = 0;
  private readonly underWay = new Set<Promise<void>>();
  private readonly known = new Map<string, Promise<SegmentRef>>();
  private inVain = 0;
  private failure: { readonly cause: unknown } | undefined;

  constructor(
    private readonly blobs: BlobStore,
    private readonly codec: SegmentCodec,
    private readonly reader: Pick<ArtifactStore, 'readBlobs'>,
    private readonly claims: UploadClaims,
    private readonly base: () => Promise<BaseSegments>,
    private counter = 0,
  ) {}

  /** Takes a segment over; returns, when there is room for the next, where its reference will be. */
  async add(segment: Segment, place: Place): Promise<{ readonly reference: Promise<SegmentRef> }> {
    this.assertSound();
    const done = new Deferred();
    // Whoever waits for the reference is told of a failure; nobody has to be waiting yet.
    done.promise.catch(() => undefined);
    this.batch.push({ ...segment, place, done });
    this.batchBytes += segment.raw.length;
    if (this.batchBytes >= BATCH_BYTES || this.batch.length >= BATCH_SEGMENTS) await this.start();
    // What comes from memory or the database never waits by itself.
    else if (segment.raw.length >= LARGE_BYTES) await setImmediate();
    return { reference: done.promise };
  }

  /** Returns when all that was added is written. */
  async flush(): Promise<void> {
    if (this.batch.length > 0) await this.start();
    await Promise.all(this.underWay);
    this.assertSound();
  }

  /** Returns when nothing is under way any more, whatever came of it. */
  async settle(): Promise<void> {
    await Promise.all(this.underWay);
  }

  private async start(): Promise<void> {
    const jobs = this.batch;
    this.batch = [];
    this.batchBytes = 0;
    while (this.underWay.size >= PARALLEL_BATCHES) await Promise.race(this.underWay);
    const run = this.run(jobs)
      .catch((cause: unknown) => {
        this.failure ??= { cause };
        for (const { done } of jobs) done.reject(cause);
      })
      .finally(() => {
        this.underWay.delete(run);
        for (const { release } of jobs) release();
      });
    this.underWay.add(run);
  }

  private assertSound(): void {
    if (this.failure) throw this.failure.cause;
  }

  private async run(jobs: readonly Job[]): Promise<void> {
    const digests = await Promise.all(jobs.map(async ({ raw }) => await this.codec.hash(raw)));
    const fresh: (Job & { readonly sha256: string })[] = [];
    jobs.forEach((job, index) => {
      const sha256 = digests[index] ?? '';
      const known = this.known.get(sha256);
      if (known) {
        known.then(job.done.resolve, job.done.reject);
        return;
      }
      this.known.set(sha256, job.done.promise);
      fresh.push({ ...job, sha256 });
    });
    const found = await findClaimed(
      this.blobs,
      this.claims,
      await this.blobs.findByDigests(fresh.map(({ sha256 }) => sha256)),
    );
    const missing = fresh.filter(({ sha256, raw, done }) => {
      const segment = found.get(sha256);
      if (segment?.rawBytes !== raw.length) return true;
      done.resolve(segment);
      return false;
    });
    await this.write(missing);
  }

  private async write(jobs: readonly (Job & { readonly sha256: string })[]): Promise<void> {
    const bases = await this.openBases(jobs);
    const written = await Promise.all(
      jobs.map(async ({ raw, cut, sha256, place }) => {
        const base = bases.get(keyOf(cut.key, place));
        const { encoded, isDifference } = await encodeSmallest(this.codec, raw, {
          ...(cut.dtype ? { dtype: cut.dtype } : {}),
          ...(base ? { base: base.raw } : {}),
        });
        if (base && raw.length >= LARGE_BYTES) this.inVain = isDifference ? 0 : this.inVain + 1;
        const blob = blobIdAt(this.claims.uploadId, ++this.counter);
        const ref: SegmentRef = {
          blob,
          sha256,
          rawBytes: raw.length,
          storedBytes: encoded.length,
          ...(base && isDifference ? { base: base.ref } : {}),
        };
        return { blob, encoded, ref };
      }),
    );
    await this.store(written);
    jobs.forEach(({ done }, index) => {
      const ref = written[index]?.ref;
      if (ref) done.resolve(ref);
    });
  }

  private async store(blobs: readonly EncodedBlob[]): Promise<void> {
    if (blobs.length === 0) return;
    await this.claims.open();
    await this.blobs.writeChunks(blobs);
  }

  /** Raw bytes of the bases that the segments may be stored as differences to, by the segments' keys. */
  private async openBases(
    jobs: readonly Job[],
  ): Promise<ReadonlyMap<string, { readonly ref: BlobRef; readonly raw: Uint8Array }>> {
    const candidates = new Map<string, BlobRef>();
    if (jobs.length > 0) {
      const base = await this.base();
      for (const { cut, place, raw } of jobs) {
        const key = keyOf(cut.key, place);
        const ref = base.find(key, raw.length);
        if (ref && this.isWorthTrying(raw)) candidates.set(key, ref);
      }
    }
    const refs = [...candidates.values()];
    const claimed = await findClaimed(
      this.blobs,
      this.claims,
      refs.map(({ blob, sha256, rawBytes }) => ({
        _id: blob,
        metadata: { sha256, rawBytes, codec: '', base: null },
      })),
    );
    const usable = refs.filter(({ sha256 }) => claimed.has(sha256));
    const raws = await this.readBases(usable);
    const opened = new Map<string, { readonly ref: BlobRef; readonly raw: Uint8Array }>();
    for (const [key, ref] of candidates) {
      const raw = raws.get(ref.blob.toHexString());
      if (raw) opened.set(key, { ref, raw });
    }
    return opened;
  }

  private isWorthTrying(raw: Uint8Array): boolean {
    if (raw.length < LARGE_BYTES || this.inVain < PATIENCE) return true;
    return this.inVain++ % TRY_ONE_OF === 0;
  }

  private async readBases(refs: readonly BlobRef[]): Promise<ReadonlyMap<string, Uint8Array>> {
    try {
      return await this.reader.readBlobs(refs);
    } catch (error) {
      // A damaged base is the older version's trouble; ours is stored on its own.
      if (error instanceof ArtifactCorruptError) return new Map();
      throw error;
    }
  }
}

/** A reference that is still to come. */
class Deferred {
  resolve!: (ref: SegmentRef) => void;
  reject!: (error: unknown) => void;
  readonly promise = new Promise<SegmentRef>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

function keyOf(key: string | undefined, { path, offset }: Place): string {
  return key ?? placeKey(path, offset);
}
