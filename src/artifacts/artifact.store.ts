import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

import { type Db, ObjectId } from 'mongodb';

import { type ArtifactRef, type Codec } from './artifact';
import { ArtifactCorruptError } from './artifact.errors';
import { cutBlocks, mapAhead, takeBlocks } from './blocks';
import { ChunkStore } from './chunk.store';
import { BLOCK_BYTES, type BlockCodec } from './codec/block-codec';
import { CodecError } from './codec/codec.errors';

/** Blocks that are encoded or decoded while the next ones travel. */
const BLOCKS_AHEAD = 3;

/** The first block must shrink at least this much, or the whole file is kept as it is. */
const WORTH_ENCODING = 0.98;

/** Bytes `start` to `end` of a file, `end` excluded. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Compressed artifact files in GridFS.
 *
 * A file counts as stored only once a version document holds its `ArtifactRef`. Bytes stream both
 * ways: a few blocks are in memory, never a file. Nothing is given out without a check: whole
 * reads fail before their last byte when the digest differs, ranges when a block's checksum does.
 */
export class ArtifactStore {
  private readonly chunks: ChunkStore;

  constructor(
    db: Db,
    private readonly codec: BlockCodec,
    bucket = 'artifacts',
  ) {
    this.chunks = new ChunkStore(db, bucket);
  }

  newFileId(): ObjectId {
    return new ObjectId();
  }

  /**
   * Encodes and writes the bytes of one file under a fresh id.
   *
   * When the source or a write fails, chunks may be left behind: `remove` takes them away.
   */
  async write(fileId: ObjectId, source: AsyncIterable<Uint8Array>): Promise<ArtifactRef> {
    return await this.encodeTo(fileId, source, (pieces) => this.chunks.writeChunks(fileId, pieces));
  }

  /** Does all that `write` does but the writing: what the bytes would take up. */
  async measure(source: AsyncIterable<Uint8Array>): Promise<ArtifactRef> {
    return await this.encodeTo(this.newFileId(), source, async (pieces) => {
      let bytes = 0;
      for await (const piece of pieces) bytes += piece.length;
      return bytes;
    });
  }

  private async encodeTo(
    fileId: ObjectId,
    source: AsyncIterable<Uint8Array>,
    sink: (pieces: AsyncIterable<Uint8Array>) => Promise<number>,
  ): Promise<ArtifactRef> {
    const raw = createHash('sha256');
    const stored = createHash('sha256');
    const blockLengths: number[] = [];
    let rawBytes = 0;
    let first: Promise<EncodedBlock> | undefined;

    const encode = async (block: Uint8Array): Promise<Uint8Array> => {
      raw.update(block);
      rawBytes += block.length;
      if (first) return await this.codec.encode(block, (await first).codec);
      first = this.encodeFirst(block);
      return (await first).bytes;
    };
    const encoded = async function* (): AsyncGenerator<Uint8Array> {
      for await (const block of mapAhead(cutBlocks(source, BLOCK_BYTES), BLOCKS_AHEAD, encode)) {
        stored.update(block);
        blockLengths.push(block.length);
        yield block;
      }
    };

    const storedBytes = await sink(encoded());
    return {
      fileId,
      codec: first ? (await first).codec : 'raw',
      sha256: raw.digest('hex'),
      rawBytes,
      storedSha256: stored.digest('hex'),
      storedBytes,
      blockBytes: BLOCK_BYTES,
      blockLengths,
    };
  }

  /** Makes written bytes a GridFS file with a readable name, e.g. `digits/3/model.json`. */
  async seal(ref: ArtifactRef, filename: string): Promise<void> {
    const { fileId, codec, sha256, rawBytes, storedBytes, blockBytes, blockLengths } = ref;
    await this.chunks.sealFile(fileId, filename, storedBytes, {
      codec,
      sha256,
      rawBytes,
      blockBytes,
      blockLengths,
    });
  }

  /** Opens the raw bytes, or a range of them. Whole reads end only after the digest was compared. */
  open(ref: ArtifactRef, range?: ByteRange): Readable {
    return Readable.from(range ? this.readRange(ref, range) : this.readWhole(ref), {
      objectMode: false,
      highWaterMark: ref.blockBytes,
    });
  }

  /**
   * Reads a whole file into memory of its own, with nothing before or behind it: TensorFlow.js
   * takes wrong weights from a buffer that is a view of a larger one.
   *
   * @throws ArtifactCorruptError
   */
  async read(ref: ArtifactRef): Promise<ArrayBuffer> {
    checkShape(ref);
    const whole = new Uint8Array(ref.rawBytes);
    let at = 0;
    for await (const block of this.readWhole(ref)) {
      whole.set(block, at);
      at += block.length;
    }
    return whole.buffer;
  }

  /**
   * Reads a file back from the database and compares it with what was written.
   *
   * @throws ArtifactCorruptError
   */
  async verify(ref: ArtifactRef): Promise<void> {
    const blocks = this.readWhole(ref);
    for (let next = await blocks.next(); !next.done;) next = await blocks.next();
  }

  async remove(refs: readonly { readonly fileId: ObjectId }[]): Promise<void> {
    await this.chunks.remove(refs.map(({ fileId }) => fileId));
  }

  private async *readWhole(ref: ArtifactRef): AsyncGenerator<Uint8Array> {
    const digest = createHash('sha256');
    let held: Uint8Array | undefined;
    for await (const block of this.readBlocks(ref, 0, ref.blockLengths.length)) {
      if (held) yield held;
      digest.update(block);
      held = block;
    }
    if (digest.digest('hex') !== ref.sha256)
      throw corrupt(ref, 'Stored bytes differ from their digest');
    if (held) yield held;
  }

  private async *readRange(
    ref: ArtifactRef,
    { start, end }: ByteRange,
  ): AsyncGenerator<Uint8Array> {
    if (end <= start) return;
    const firstBlock = Math.floor(start / ref.blockBytes);
    const lastBlock = Math.floor((end - 1) / ref.blockBytes);
    let offset = firstBlock * ref.blockBytes;
    for await (const block of this.readBlocks(ref, firstBlock, lastBlock + 1)) {
      yield block.subarray(Math.max(0, start - offset), Math.min(block.length, end - offset));
      offset += block.length;
    }
  }

  /** Yields the decoded blocks `from` to `to`, `to` excluded; decoding overlaps with the network. */
  private async *readBlocks(
    ref: ArtifactRef,
    from: number,
    to: number,
  ): AsyncGenerator<Uint8Array> {
    checkShape(ref);
    const lengths = ref.blockLengths.slice(from, to);
    const start = sum(ref.blockLengths.slice(0, from));
    const pieces = this.chunks.readBytes(ref.fileId, ref.storedBytes, start, sum(lengths));
    let index = from;
    try {
      yield* mapAhead(takeBlocks(pieces, lengths), BLOCKS_AHEAD, async (encoded) => {
        const rawBytes = Math.min(ref.blockBytes, ref.rawBytes - index++ * ref.blockBytes);
        return await this.codec.decode(encoded, ref.codec, rawBytes);
      });
    } catch (error) {
      if (error instanceof CodecError) throw corrupt(ref, error.message, { cause: error });
      throw error;
    }
  }

  /** Encodes the first block and decides from it whether the file is worth encoding at all. */
  private async encodeFirst(block: Uint8Array): Promise<EncodedBlock> {
    const kept = Uint8Array.from(block);
    const bytes = await this.codec.encode(block, 'zstd');
    return bytes.length <= kept.length * WORTH_ENCODING
      ? { codec: 'zstd', bytes }
      : { codec: 'raw', bytes: kept };
  }
}

interface EncodedBlock {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
}

/** A reference that contradicts itself was altered: nothing is read, nor allocated, by its claims. */
function checkShape(ref: ArtifactRef): void {
  const { rawBytes, storedBytes, blockBytes, blockLengths } = ref;
  const sound =
    Number.isSafeInteger(rawBytes) &&
    blockBytes === BLOCK_BYTES &&
    blockLengths.length === Math.ceil(rawBytes / blockBytes) &&
    blockLengths.every((length) => Number.isSafeInteger(length) && length > 0) &&
    sum(blockLengths) === storedBytes;
  if (!sound) throw corrupt(ref, 'A file reference contradicts itself');
}

function corrupt(ref: ArtifactRef, message: string, options?: ErrorOptions): ArtifactCorruptError {
  return new ArtifactCorruptError(message, { fileId: ref.fileId.toHexString() }, options);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
