import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

import { type Db, type ObjectId } from 'mongodb';

import {
  type ArtifactFile,
  type ArtifactRef,
  type BlobRef,
  SEGMENT_BYTES,
  type SegmentRef,
  storedBytesOf,
} from './artifact';
import { ArtifactCorruptError } from './artifact.errors';
import { ArtifactWriter, type WriterOptions } from './artifact-writer';
import { BlobStore, type EncodedBlobs, MAX_BLOB_BYTES } from './blob.store';
import { StoredSegmentError } from './codec/codec.errors';
import { type EncodedSegment, type RunningFile, type SegmentCodec } from './codec/segment.codec';
import { SharedMemory } from './codec/shared-memory';
import { giveBack } from './give-back';
import { sealFiles } from './seal-files';
import { type UploadClaims } from './upload-claims.port';

/**
 * What one query fetches: enough to hide the round trip, little enough to be held three times. The
 * database prepares one while a thread decodes another and has a third before it.
 */
const GROUP_BYTES = 8 * 1024 * 1024;

/** Queries whose bytes a thread has before it is done with the ones before: it never waits. */
const DECODED_AHEAD = 1;

/** Memory of segments that is kept for the next upload: fresh memory costs more than copying into it. */
const KEPT_SEGMENTS = 8;

/** Bytes `start` to `end` of a file, `end` excluded. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Where bytes of a file are to stand, if anywhere. Asked anew each time that they are touched, since
 * memory may move in between; so only for a codec that works on the calling thread.
 */
export type RoomFor = (range: ByteRange) => Uint8Array | undefined;

/** The next bytes of a file. */
export interface Piece {
  readonly length: number;
  /** Absent where the bytes stand in the room that there was for them. */
  readonly bytes?: Uint8Array;
}

/**
 * Artifact files in GridFS, as segments of content-addressed blobs.
 *
 * A file counts as stored only once a version document holds its `ArtifactRef`. Bytes stream both
 * ways: a few segments are in memory, never a file that nobody asked for whole. Nothing is given
 * out without a check: whole reads fail before their last byte when the digest differs, ranges
 * when a segment's does.
 */
export class ArtifactStore {
  readonly blobs: BlobStore;
  private readonly memory = new SharedMemory(KEPT_SEGMENTS);

  /** @param ownsReplies whether nobody else looks at what `db` receives (`guardReplies`) */
  constructor(
    db: Db,
    private readonly codec: SegmentCodec,
    private readonly ownsReplies = false,
  ) {
    this.blobs = new BlobStore(db);
  }

  /** Takes in the files of one upload. */
  writer(options: WriterOptions): ArtifactWriter {
    return new ArtifactWriter(this.blobs, this.codec, this, this.memory, options);
  }

  /**
   * Makes what an upload wrote blobs that others can find, named after their first place
   * (`nameOf` gives e.g. `digits/3/model.json`). Where others were faster with the same content
   * the files that come back refer to theirs.
   */
  async seal(
    files: readonly ArtifactFile[],
    claims: UploadClaims,
    nameOf: (path: string) => string,
  ): Promise<readonly ArtifactFile[]> {
    return await sealFiles(this.blobs, files, claims, nameOf);
  }

  /** Opens the raw bytes, or a range of them. Whole reads end only after the digest was compared. */
  open(ref: ArtifactRef, range?: ByteRange): Readable {
    return Readable.from(range ? this.readRange(ref, range) : this.readWhole(ref), {
      objectMode: false,
      highWaterMark: SEGMENT_BYTES,
    });
  }

  /**
   * Reads a whole file into memory of its own, with nothing before or behind it: TensorFlow.js
   * takes wrong weights from a buffer that is a view of a larger one.
   *
   * @throws ArtifactCorruptError
   */
  async read(ref: ArtifactRef): Promise<ArrayBuffer> {
    return await this.readFile(ref, 'whole');
  }

  /**
   * Reads a file back from the database and compares it with what was written.
   *
   * @throws ArtifactCorruptError
   */
  async verify(ref: ArtifactRef): Promise<void> {
    await this.readFile(ref, 'none');
  }

  /**
   * Reads segments back and compares each with its own digest.
   *
   * @throws ArtifactCorruptError naming the blob
   */
  async verifySegments(segments: readonly SegmentRef[]): Promise<void> {
    const decoding = this.decodeGroups(
      segments,
      async (group) => await this.codec.decodeEach(group, 'digest'),
    );
    for await (const { segment, decoded } of decoding) assertSegment(segment, decoded.sha256);
  }

  /**
   * Looks for the damaged blobs of files and keeps new versions from relying on them.
   *
   * @returns the ids of those that are damaged
   */
  async retireDamaged(files: readonly Pick<ArtifactFile, 'ref'>[]): Promise<ObjectId[]> {
    const damaged = new Map<string, ObjectId>();
    for (const segment of files.flatMap(({ ref }) => ref.segments)) {
      try {
        // A base is looked at by itself: damage to it must not be put down to the difference.
        await this.verifySegments(segment.base ? [segment.base, segment] : [segment]);
      } catch (error) {
        if (!(error instanceof ArtifactCorruptError)) throw error;
        for (const { blob } of [segment.base ?? segment, segment]) {
          if (error.details['blob'] === blob.toHexString()) damaged.set(blob.toHexString(), blob);
        }
      }
    }
    const ids = [...damaged.values()];
    if (ids.length > 0) await this.blobs.markDamaged(ids);
    return ids;
  }

  /** Raw bytes of blobs that are no differences, by hex id; each fits in a segment. */
  async readBlobs(refs: readonly BlobRef[]): Promise<ReadonlyMap<string, Uint8Array>> {
    const raws = new Map<string, Uint8Array>();
    const decoding = this.decodeGroups(
      refs,
      async (group) => await this.codec.decodeEach(group, 'bytes'),
    );
    for await (const { segment, decoded } of decoding) {
      raws.set(segment.blob.toHexString(), decoded.bytes);
    }
    return raws;
  }

  async *readWhole(ref: ArtifactRef): AsyncGenerator<Uint8Array> {
    checkShape(ref);
    let held: Uint8Array | undefined;
    for await (const raw of this.readDigested(ref)) {
      if (held) yield held;
      held = raw;
    }
    if (held) yield held;
  }

  /**
   * Reads a whole file, decoding each segment into its room where there is one. The end is reached
   * only after the digest was compared: what stands in rooms is not to be used before.
   *
   * @throws ArtifactCorruptError
   */
  async *readPieces(ref: ArtifactRef, roomFor: RoomFor): AsyncGenerator<Piece> {
    checkShape(ref);
    const digest = createHash('sha256');
    let held: Piece | undefined;
    let start = 0;
    for await (const { group, encoded } of this.fetchGroups(ref.segments)) {
      for (const segment of group) {
        const length = segment.rawBytes;
        const range = { start, end: start + length };
        const own = roomFor(range) ? undefined : new Uint8Array(length);
        // Room that is gone meanwhile has no bytes, which no segment fits.
        const target = (): Uint8Array => own ?? roomFor(range) ?? NOTHING;
        await translated([segment], this.codec.decode(encodedOf(segment, encoded), target()));
        digest.update(target());
        if (held) yield held;
        held = own ? { length, bytes: own } : { length };
        start += length;
      }
      if (this.ownsReplies) giveBack([...encoded.values()].flat());
    }
    assertDigest(ref, digest.digest('hex'));
    if (held) yield held;
  }

  private async *readRange(
    ref: ArtifactRef,
    { start, end }: ByteRange,
  ): AsyncGenerator<Uint8Array> {
    checkShape(ref);
    const touched: SegmentRef[] = [];
    let first = 0;
    let at = 0;
    for (const segment of ref.segments) {
      if (at < end && at + segment.rawBytes > start) {
        if (touched.length === 0) first = at;
        touched.push(segment);
      }
      at += segment.rawBytes;
    }
    const decoding = this.decodeGroups(
      touched,
      async (group) => await this.codec.decodeEach(group, 'both'),
    );
    for await (const { segment, decoded } of decoding) {
      assertSegment(segment, decoded.sha256);
      yield decoded.bytes.subarray(
        Math.max(0, start - first),
        Math.min(segment.rawBytes, end - first),
      );
      first += segment.rawBytes;
    }
  }

  /** Decodes a whole file of whose parts nobody is waiting for one. */
  private async readFile(ref: ArtifactRef, parts: 'whole' | 'none'): Promise<ArrayBuffer> {
    checkShape(ref);
    const file = this.codec.openFile(ref.rawBytes, parts);
    try {
      await drained(this.decodeInto(file, ref.segments));
      const { sha256, bytes } = await file.end();
      assertDigest(ref, sha256);
      return bytes;
    } finally {
      file.close();
    }
  }

  /** All segments of a file in order; the end is reached only after its digest was compared. */
  private async *readDigested(ref: ArtifactRef): AsyncGenerator<Uint8Array> {
    const file = this.codec.openFile(ref.rawBytes, 'segments');
    try {
      yield* this.decodeInto(file, ref.segments);
      assertDigest(ref, (await file.end()).sha256);
    } finally {
      file.close();
    }
  }

  private async *decodeInto(
    file: RunningFile,
    segments: readonly SegmentRef[],
  ): AsyncGenerator<Uint8Array> {
    const decoding = this.decodeGroups(segments, async (group) => await file.decode(group));
    for await (const { decoded } of decoding) yield decoded;
  }

  /**
   * What `decode` makes of segments, in order. It is called in order as well, before it is done
   * with those before: that is the order of the file.
   */
  private async *decodeGroups<T>(
    segments: readonly SegmentRef[],
    decode: (group: readonly EncodedSegment[]) => Promise<readonly T[]>,
  ): AsyncGenerator<DecodedOf<T>> {
    const decoding: Promise<readonly DecodedOf<T>[]>[] = [];
    try {
      for await (const { group, encoded } of this.fetchGroups(segments)) {
        const decoded = decode(group.map((segment) => encodedOf(segment, encoded)));
        decoding.push(handled(paired(group, translated(group, decoded))));
        if (decoding.length <= DECODED_AHEAD) continue;
        yield* (await decoding[0]) ?? [];
        void decoding.shift();
      }
      for (let next = decoding[0]; next; next = decoding[0]) {
        yield* await next;
        void decoding.shift();
      }
    } finally {
      await Promise.allSettled(decoding);
    }
  }

  /** The encoded bytes of segments, group by group; the next ones travel meanwhile. */
  private async *fetchGroups(segments: readonly SegmentRef[]): AsyncGenerator<FetchedGroup> {
    let coming: Promise<FetchedGroup> | undefined;
    try {
      for (const group of inGroups(segments)) {
        const before = coming;
        coming = handled(this.fetchGroup(group));
        if (before) yield await before;
      }
      if (coming) yield await coming;
    } finally {
      await Promise.allSettled([coming]);
    }
  }

  private async fetchGroup(group: readonly SegmentRef[]): Promise<FetchedGroup> {
    const refs = group.flatMap((segment) => (segment.base ? [segment, segment.base] : [segment]));
    return { group, encoded: await this.blobs.fetch(refs) };
  }
}

/** A segment, and what was made of it. */
interface DecodedOf<T> {
  readonly segment: SegmentRef;
  readonly decoded: T;
}

interface FetchedGroup {
  readonly group: readonly SegmentRef[];
  readonly encoded: EncodedBlobs;
}

const NOTHING = new Uint8Array(0);

function encodedOf({ blob, rawBytes, base }: SegmentRef, encoded: EncodedBlobs): EncodedSegment {
  const piecesOf = (id: ObjectId): readonly Uint8Array[] => encoded.get(id.toHexString()) ?? [];
  return { pieces: piecesOf(blob), rawBytes, ...(base && { base: piecesOf(base.blob) }) };
}

async function paired<T>(
  group: readonly SegmentRef[],
  work: Promise<readonly T[]>,
): Promise<DecodedOf<T>[]> {
  const all = await work;
  assert(all.length === group.length, 'each segment gives one result');
  return all.map((decoded, index) => {
    const segment = group[index];
    assert(segment);
    return { segment, decoded };
  });
}

/** Goes through to the end, where only that matters. */
async function drained(steps: AsyncGenerator): Promise<void> {
  for (let next = await steps.next(); next.done !== true;) next = await steps.next();
}

/** What the codec finds damaged, as damage to the blob. */
async function translated<T>(group: readonly SegmentRef[], work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (!(cause instanceof StoredSegmentError)) throw cause;
    const segment = group[cause.index];
    const damaged = cause.isInBase ? segment?.base : segment;
    throw new ArtifactCorruptError(cause.message, { blob: damaged?.blob.toHexString() }, { cause });
  }
}

function assertSegment({ blob, sha256 }: BlobRef, actual: string): void {
  if (actual === sha256) return;
  throw new ArtifactCorruptError('A stored segment differs from its digest', {
    blob: blob.toHexString(),
  });
}

/** Work that goes on while its consumer is elsewhere, or gone: its failure is seen when it is awaited. */
function handled<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
}

/** Consecutive segments that are fetched together: bounded encoded and decoded, as zeros become large. */
function inGroups(segments: readonly SegmentRef[]): SegmentRef[][] {
  const groups: SegmentRef[][] = [];
  let bytes = Infinity;
  for (const segment of segments) {
    const size = Math.max(segment.rawBytes, segment.storedBytes + (segment.base?.storedBytes ?? 0));
    if (bytes + size > GROUP_BYTES) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(segment);
    bytes += size;
  }
  return groups;
}

function assertDigest({ sha256, segments }: ArtifactRef, actual: string): void {
  if (actual === sha256) return;
  throw new ArtifactCorruptError('Stored bytes differ from their digest', {
    blobs: segments.slice(0, 10).map(({ blob }: { blob: ObjectId }) => blob.toHexString()),
  });
}

/** A reference that contradicts itself was altered: nothing is read, nor allocated, by its claims. */
function checkShape({ rawBytes, storedBytes, segments }: ArtifactRef): void {
  const sound =
    segments.every(
      (segment) =>
        isSound(segment) &&
        (!segment.base || (isSound(segment.base) && segment.base.rawBytes === segment.rawBytes)),
    ) &&
    segments.reduce((sum, segment) => sum + segment.rawBytes, 0) === rawBytes &&
    storedBytesOf(segments) === storedBytes;
  if (sound) return;
  throw new ArtifactCorruptError('A file reference contradicts itself', { rawBytes, storedBytes });
}

function isSound({ rawBytes, storedBytes }: BlobRef): boolean {
  return isCount(rawBytes, SEGMENT_BYTES) && isCount(storedBytes, MAX_BLOB_BYTES);
}

function isCount(value: number, most: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && value <= most;
}
