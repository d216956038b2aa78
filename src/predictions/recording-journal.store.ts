import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

import { Inject, Injectable } from '@nestjs/common';
import { Binary, BSON, type Document } from 'mongodb';

import { type NamedTensors } from '../common/tensor';
import { type Config } from '../config/config';
import { CONFIG } from '../config/config.tokens';
import { identityOf, isRunning, type ProcessIdentity } from '../mongo/process-identity';
import { GroupCommit } from './group-commit';
import { type PredictionRecord } from './prediction.doc';

/** A segment that has grown to this is followed by another, so that what is done can be removed. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
const SUFFIX = '.records';

/**
 * A segment is frames, the first of which names the process that writes it:
 *
 * ```
 * uint32 LE   bytes of the document
 * uint32 LE   bytes of the input
 * uint32 LE   CRC-32 of both
 * BSON        the document: who writes, or a record without the bytes of its input
 * bytes       the input; apart, because it can be larger than a document
 * ```
 */
const FRAME_HEADER_BYTES = 12;

interface Frame {
  readonly doc: Document;
  readonly content: Buffer;
}

interface Segment {
  readonly path: string;
  readonly handle: FileHandle | null;
  bytes: number;
  /** Records in it that no database has acknowledged. */
  open: number;
}

interface OpenSegment extends Segment {
  readonly handle: FileHandle;
}

/** Where a record stands in the journal; `settle` forgets it. */
export type JournalPlace = Segment;

export interface JournalledRecord {
  readonly record: PredictionRecord;
  readonly place: JournalPlace;
}

/**
 * Records that were answered for before the database had them.
 *
 * What `append` returned for survives the death of the process at any moment, not that of the
 * machine: it is in the hands of the operating system, not forced onto the disk. A record stays
 * until it is settled. The segments of a process that died are found by the next one; those of a
 * living one, which may share the data directory, are left alone.
 */
@Injectable()
export class RecordingJournal {
  private readonly directory: string;
  private current: OpenSegment | undefined;
  private readonly appends = new GroupCommit<Buffer, Segment>(
    async (frames) => {
      const place = await this.write(frames);
      return frames.map(() => ({ kind: 'done', value: place }));
    },
    { maxItems: 1000, maxBytes: SEGMENT_BYTES, maxUnderWay: 1 },
  );

  constructor(@Inject(CONFIG) { dataDir, mongodb }: Pick<Config, 'dataDir' | 'mongodb'>) {
    this.directory = join(dataDir, 'recording', mongodb.db);
  }

  async append(record: PredictionRecord): Promise<JournalPlace> {
    const frame = toFrame(toStored(record), record.input.content);
    return await this.appends.add(frame, frame.length);
  }

  /** The records at these places are safe elsewhere. A segment with nothing open is removed. */
  async settle(places: readonly JournalPlace[]): Promise<void> {
    for (const place of places) {
      place.open--;
      if (place.open === 0 && place !== this.current) await remove(place);
    }
  }

  /** Everything that processes left behind which run no more, oldest segment first. */
  async recover(): Promise<JournalledRecord[]> {
    const names = await readdir(this.directory).catch(() => []);
    const recovered: JournalledRecord[] = [];
    for (const name of names.filter((file) => file.endsWith(SUFFIX)).sort()) {
      recovered.push(...(await recoverSegment(join(this.directory, name))));
    }
    return recovered;
  }

  async close(): Promise<void> {
    const { current } = this;
    this.current = undefined;
    if (current?.open === 0) await remove(current);
    else await current?.handle.close();
  }

  private async write(frames: readonly Buffer[]): Promise<Segment> {
    if (this.current && this.current.bytes >= SEGMENT_BYTES) await this.retire(this.current);
    this.current ??= await this.begin();
    const { current } = this;
    try {
      const { bytesWritten } = await current.handle.writev([...frames]);
      const wanted = frames.reduce((sum, { length }) => sum + length, 0);
      if (bytesWritten !== wanted) {
        // A disk that is full takes a part; what comes behind a torn frame would not be found.
        throw new RangeError(`wrote ${bytesWritten} of ${wanted} bytes`);
      }
      current.bytes += wanted;
      current.open += frames.length;
      return current;
    } catch (error) {
      await this.retire(current);
      throw error;
    }
  }

  private async begin(): Promise<OpenSegment> {
    await mkdir(this.directory, { recursive: true });
    const path = join(this.directory, `${Date.now()}-${randomUUID()}${SUFFIX}`);
    const handle = await open(path, 'ax');
    const owner = toFrame({ owner: identityOf(process.pid) }, Buffer.alloc(0));
    await handle.write(owner);
    return { path, handle, bytes: owner.length, open: 0 };
  }

  private async retire(segment: Segment): Promise<void> {
    this.current = undefined;
    if (segment.open === 0) await remove(segment);
  }
}

async function remove({ path, handle }: Segment): Promise<void> {
  await handle?.close();
  await rm(path, { force: true });
}

async function recoverSegment(path: string): Promise<JournalledRecord[]> {
  // Another process that starts at the same time may have been faster.
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  const [head, ...frames] = readFrames(bytes);
  const owner = head?.doc['owner'] as ProcessIdentity | undefined;
  if (owner && isRunning(owner)) return [];
  const place: Segment = { path, handle: null, bytes: bytes.length, open: frames.length };
  if (frames.length === 0) await remove(place);
  return frames.map((frame) => ({ record: fromStored(frame), place }));
}

function toFrame(doc: Document, content: Buffer): Buffer {
  const body = BSON.serialize(doc, { ignoreUndefined: true });
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + body.length + content.length);
  frame.writeUInt32LE(body.length, 0);
  frame.writeUInt32LE(content.length, 4);
  frame.set(body, FRAME_HEADER_BYTES);
  frame.set(content, FRAME_HEADER_BYTES + body.length);
  frame.writeUInt32LE(crc32(frame.subarray(FRAME_HEADER_BYTES)), 8);
  return frame;
}

/** Stops at the first frame that is cut off or damaged: nothing was answered for behind it. */
function readFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length;) {
    const start = at + FRAME_HEADER_BYTES;
    const middle = start + bytes.readUInt32LE(at);
    const end = middle + bytes.readUInt32LE(at + 4);
    if (end > bytes.length || crc32(bytes.subarray(start, end)) !== bytes.readUInt32LE(at + 8)) {
      break;
    }
    const doc = BSON.deserialize(bytes.subarray(start, middle));
    frames.push({ doc, content: bytes.subarray(middle, end) });
    at = end;
  }
  return frames;
}

/** Maps as lists: names of tensors and tags may be anything. */
function toStored({ tags, input, outputs, ...rest }: PredictionRecord): Document {
  return {
    ...rest,
    tags: Object.entries(tags),
    input: { ...input, content: undefined },
    ...(outputs ? { outputs: Object.entries(outputs) } : {}),
  };
}

function fromStored({ doc, content }: Frame): PredictionRecord {
  const { tags, input, outputs, ...rest } = doc;
  return {
    ...rest,
    tags: Object.fromEntries(tags as [string, string][]),
    input: { ...(input as object), content },
    ...(outputs ? { outputs: tensorsOf(outputs as [string, StoredTensor][]) } : {}),
  } as unknown as PredictionRecord;
}

type StoredTensor = Omit<NamedTensors[string], 'data'> & { readonly data: Binary | Uint8Array };

function tensorsOf(entries: readonly [string, StoredTensor][]): NamedTensors {
  return Object.fromEntries(
    entries.map(([name, { data, ...tensor }]) => [
      name,
      { ...tensor, data: data instanceof Binary ? data.value() : data },
    ]),
  );
}
