import { createHash, type Hash } from 'node:crypto';

import { type ArtifactRef, type SegmentRef, storedBytesOf } from './artifact';
import { type ArtifactStore } from './artifact.store';
import { type BaseFiles, BaseSegments } from './base-segments';
import { type BlobStore } from './blob.store';
import { BlobWriter } from './blob-writer';
import { type SegmentCodec } from './codec/segment.codec';
import { type SharedMemory } from './codec/shared-memory';
import { type Cut, cutsFrom, cutsOfFile, planPieces, type WeightGroup } from './cut-plan';
import { cutSegments } from './segmenter';
import { type UploadClaims } from './upload-claims.port';

/**
 * Raw bytes of files that are kept back until it is known how they are to be cut: forms and
 * archives name files in the order of the alphabet, which has weights before `model.json`.
 */
const HELD_BYTES = 32 * 1024 * 1024;

/** What converters make shards of, but for the last. */
const USUAL_SHARD_BYTES = 4 * 1024 * 1024;

export interface WriterOptions {
  readonly claims: UploadClaims;
  /** Files of the version that the new one is likely to resemble; asked for once. */
  readonly base: () => Promise<BaseFiles>;
  /** Where the ids of its blobs begin, for what is not the first to be written under its claims. */
  readonly firstBlob?: number;
}

interface WrittenFile {
  readonly digest: Hash;
  rawBytes: number;
  /** Filled while the whole file is held back. */
  held: Uint8Array[] | undefined;
  cuts: readonly Cut[];
  references: readonly Promise<SegmentRef>[];
}

interface PlannedGroup extends WeightGroup {
  readonly pieces: readonly Cut[];
}

/**
 * The files of one upload on their way into blobs, in whatever order they come.
 *
 * Weights end up cut at their tensors. Until a manifest has been given, files are held back as far
 * as there is room, then cut by a guess; a wrong guess is read back and cut anew by `finish`. So
 * equal content makes equal blobs, whatever order it came in.
 */
export class ArtifactWriter {
  private readonly files = new Map<string, WrittenFile>();
  private readonly groups: PlannedGroup[] = [];
  private readonly writer: BlobWriter;
  private readonly base: () => Promise<BaseSegments>;
  private room = HELD_BYTES;

  constructor(
    private readonly blobs: BlobStore,
    codec: SegmentCodec,
    private readonly reader: ArtifactStore,
    private readonly memory: SharedMemory,
    private readonly options: WriterOptions,
  ) {
    let base: Promise<BaseSegments> | undefined;
    this.base = async () => {
      base ??= this.options.base().then((files) => new BaseSegments(files));
      return await base;
    };
    const { claims, firstBlob } = options;
    this.writer = new BlobWriter(blobs, codec, reader, claims, this.base, firstBlob);
  }

  /** Tells where tensors stand in files, as soon as it is known: before or after the files themselves. */
  plan(groups: readonly WeightGroup[]): void {
    for (const group of groups) {
      this.groups.push({ ...group, pieces: planPieces(group.tensors) });
    }
  }

  /** Takes in one file. Fails with the failure of the body, or of a write that was under way. */
  async write(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const file: WrittenFile = {
      digest: createHash('sha256'),
      rawBytes: 0,
      held: undefined,
      cuts: [],
      references: [],
    };
    this.files.set(path, file);
    const pieces = metered(file, body);
    const cuts = await this.firstCuts(path);
    if (cuts) await this.cut(path, file, pieces, cuts);
    else await this.hold(path, file, pieces);
  }

  /** Cuts what is left to cut, and gives the references of all files. */
  async finish(): Promise<ReadonlyMap<string, ArtifactRef>> {
    for (const [path, file] of this.files) {
      const { held } = file;
      if (!held) continue;
      file.held = undefined;
      await this.cut(path, file, held, this.plannedCuts(path));
    }
    await this.writer.flush();
    const isAnyCutAnew = await this.cutAnew();
    const refs = new Map<string, ArtifactRef>();
    for (const [path, file] of this.files) refs.set(path, await refOf(file));
    if (isAnyCutAnew) {
      const used = [...refs.values()].flatMap(({ segments }) => segments.map(({ blob }) => blob));
      await this.blobs.removeChunksOfUpload(this.options.claims.uploadId, used);
    }
    return refs;
  }

  /** Returns when no write is under way any more, whatever came of them. */
  async settle(): Promise<void> {
    await this.writer.settle();
  }

  /** The best cuts for a file that nobody has seen; undefined when waiting may tell more. */
  private async firstCuts(path: string): Promise<Iterator<Cut, never> | undefined> {
    if (this.groups.length > 0) return this.plannedCuts(path);
    const cuts = (await this.base()).cutsOf(path);
    return cuts && cutsFrom(cuts, 0);
  }

  /** Cuts by the manifest. A shard that has not come yet is taken to be of the usual size. */
  private plannedCuts(path: string): Iterator<Cut, never> {
    const group = this.groupOf(path);
    if (!group) return cutsFrom([], 0);
    const before = group.paths.slice(0, group.paths.indexOf(path));
    const start = before.reduce(
      (sum, shard) => sum + (this.files.get(shard)?.rawBytes ?? USUAL_SHARD_BYTES),
      0,
    );
    return cutsFrom(group.pieces, start);
  }

  private groupOf(path: string): PlannedGroup | undefined {
    return this.groups.find(({ paths }) => paths.includes(path));
  }

  private async hold(
    path: string,
    file: WrittenFile,
    pieces: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const held: Uint8Array[] = [];
    const coming = pieces[Symbol.asyncIterator]();
    for (let next = await coming.next(); next.done !== true; next = await coming.next()) {
      // A copy: pieces can be views of something much larger.
      held.push(Uint8Array.from(next.value));
      this.room -= next.value.length;
      if (this.room >= 0) continue;
      this.room += held.reduce((sum, { length }) => sum + length, 0);
      await this.cut(path, file, chain(held.splice(0), coming), cutsFrom([], 0));
      return;
    }
    file.held = held;
  }

  private async cut(
    path: string,
    file: WrittenFile,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    cuts: Iterator<Cut, never>,
  ): Promise<void> {
    const done: Cut[] = [];
    const references: Promise<SegmentRef>[] = [];
    let offset = 0;
    for await (const segment of cutSegments(pieces, cuts, this.memory)) {
      const { reference } = await this.writer.add(segment, { path, offset });
      offset += segment.raw.length;
      done.push(segment.cut);
      references.push(reference);
    }
    file.cuts = done;
    file.references = references;
  }

  /** Cuts the files anew whose first cuts differ from those that the manifest asks for. */
  private async cutAnew(): Promise<boolean> {
    let isAnyCutAnew = false;
    for (const [path, file] of this.files) {
      const planned = cutsOfFile(this.plannedCuts(path), file.rawBytes);
      const isAsPlanned =
        planned.length === file.cuts.length &&
        planned.every(({ bytes }, index) => bytes === file.cuts[index]?.bytes);
      if (isAsPlanned) {
        file.cuts = planned;
        continue;
      }
      // What was just written is read: only once a majority has it does every read find it.
      if (!isAnyCutAnew) await this.options.claims.assertHeld();
      isAnyCutAnew = true;
      const pieces = this.reader.readWhole(await refOf(file));
      await this.cut(path, file, pieces, this.plannedCuts(path));
      await this.writer.flush();
    }
    return isAnyCutAnew;
  }
}

async function refOf({ digest, rawBytes, cuts, references }: WrittenFile): Promise<ArtifactRef> {
  const found = await Promise.all(references);
  const segments = found.map((segment, index) => {
    const key = cuts[index]?.key;
    return key === undefined ? segment : { ...segment, key };
  });
  return {
    sha256: digest.copy().digest('hex'),
    rawBytes,
    storedBytes: storedBytesOf(segments),
    segments,
  };
}

async function* metered(
  file: WrittenFile,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    file.digest.update(piece);
    file.rawBytes += piece.length;
    yield piece;
  }
}

async function* chain(
  first: Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  // Taken out as they go: what is chained behind them can be a gibibyte.
  for (let piece = first.shift(); piece; piece = first.shift()) yield piece;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
    yield next.value;
  }
}
