import type { io } from '@tensorflow/tfjs-core';

import { type ByteRange, type Piece, type RoomFor } from '../../artifacts/artifact.store';
import { ArtifactCorruptError } from '../../artifacts/artifact.errors';
import { isStoredType, STORED_ELEMENT_BYTES } from '../../formats/stored-types';

type WeightSpec = io.WeightsManifestEntry;

const LENGTH_BYTES = 4;

/** The bytes of one weight, in a buffer that holds nothing else. */
export interface WeightBytes {
  readonly spec: WeightSpec;
  readonly bytes: ArrayBuffer;
}

/** A weight whose bytes stand in the room that there was for them. */
export interface PlacedWeight {
  readonly spec: WeightSpec;
  readonly bytes: null;
}

/**
 * Memory of an engine for the bytes of a weight, just as they are stored; undefined where there is
 * none. Asked anew for each use, since that memory moves when it grows.
 */
export type WeightRooms = (spec: WeightSpec) => Uint8Array | undefined;

const noRooms: WeightRooms = () => undefined;

/**
 * Cuts the bytes of weight files, laid end to end, into those of each weight.
 *
 * One weight is in memory at a time, whatever pieces the bytes come in. A piece that is exactly
 * one weight is handed on without a copy.
 *
 * @throws ArtifactCorruptError when the bytes end early or go on after the last weight
 */
export async function* cutWeights(
  specs: readonly WeightSpec[],
  pieces: AsyncIterable<Piece>,
): AsyncGenerator<WeightBytes> {
  for await (const { spec, bytes } of placeWeights(specs, pieces, noRooms)) {
    if (bytes) yield { spec, bytes };
  }
}

/** The same, but for weights that have room in an engine: those end up there, and in no buffer. */
export async function* placeWeights(
  specs: readonly WeightSpec[],
  pieces: AsyncIterable<Piece>,
  rooms: WeightRooms,
): AsyncGenerator<WeightBytes | PlacedWeight> {
  const feed = new Feed(pieces);
  try {
    for (const spec of specs) {
      if (rooms(spec)) {
        await feed.fill(bytesOf(spec), () => rooms(spec));
        yield { spec, bytes: null };
        continue;
      }
      const bytes = isTexts(spec)
        ? await takeStrings(feed, sizeOf(spec))
        : await feed.take(bytesOf(spec));
      yield { spec, bytes };
    }
    // Also what makes the source compare its digest, which it does behind its last byte.
    if (!(await feed.isAtEnd())) throw damaged('go on after the last weight');
  } finally {
    await feed.close();
  }
}

/**
 * Finds the room for a range of the weight files, laid end to end, when it lies in one weight.
 * Behind texts, whose length nothing declares, there is none.
 */
export function roomFinder(specs: readonly WeightSpec[], rooms: WeightRooms): RoomFor {
  const places: { readonly spec: WeightSpec; readonly range: ByteRange }[] = [];
  let end = 0;
  for (const spec of specs) {
    if (isTexts(spec)) break;
    const start = end;
    end += bytesOf(spec);
    places.push({ spec, range: { start, end } });
  }
  return ({ start, end }) => {
    const place = places.find(({ range }) => range.start <= start && end <= range.end);
    return place && rooms(place.spec)?.subarray(start - place.range.start, end - place.range.start);
  };
}

function isTexts({ dtype, quantization }: WeightSpec): boolean {
  return dtype === 'string' && !quantization;
}

function sizeOf({ shape }: WeightSpec): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

function bytesOf(spec: WeightSpec): number {
  const type = spec.quantization?.dtype ?? spec.dtype;
  return sizeOf(spec) * (isStoredType(type) ? STORED_ELEMENT_BYTES[type] : 4);
}

/** Each string stands behind its length. */
async function takeStrings(feed: Feed, count: number): Promise<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (let index = 0; index < count; index++) {
    const length = await feed.take(LENGTH_BYTES);
    const text = await feed.take(new DataView(length).getUint32(0, true));
    parts.push(new Uint8Array(length), new Uint8Array(text));
  }
  return Uint8Array.from(Buffer.concat(parts)).buffer;
}

/** Takes exact numbers of bytes from pieces of any size. */
class Feed {
  private readonly source: AsyncIterator<Piece>;
  private piece: Piece = { length: 0 };
  private at = 0;

  constructor(pieces: AsyncIterable<Piece>) {
    this.source = pieces[Symbol.asyncIterator]();
  }

  async take(count: number): Promise<ArrayBuffer> {
    if (this.piece.length === this.at && count > 0) {
      await this.next();
      const whole = wholeBuffer(this.piece);
      if (whole?.byteLength === count) {
        this.at = count;
        return whole;
      }
    }
    const whole = new Uint8Array(count);
    await this.fill(count, () => whole);
    return whole.buffer;
  }

  /** Brings bytes into `room`, but for those that stand there already. */
  async fill(count: number, room: () => Uint8Array | undefined): Promise<void> {
    for (let filled = 0; filled < count;) {
      if (this.at === this.piece.length) await this.next();
      const { bytes, length } = this.piece;
      const part = Math.min(length - this.at, count - filled);
      if (bytes) room()?.set(bytes.subarray(this.at, this.at + part), filled);
      filled += part;
      this.at += part;
    }
  }

  async isAtEnd(): Promise<boolean> {
    while (this.at === this.piece.length) {
      const next = await this.source.next();
      if (next.done === true) return true;
      this.piece = next.value;
      this.at = 0;
    }
    return false;
  }

  async close(): Promise<void> {
    await this.source.return?.();
  }

  private async next(): Promise<void> {
    if (await this.isAtEnd()) throw damaged('end before the last weight does');
  }
}

/** The buffer of a piece that holds nothing else. */
function wholeBuffer({ bytes }: Piece): ArrayBuffer | undefined {
  if (!bytes || !(bytes.buffer instanceof ArrayBuffer)) return undefined;
  return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : undefined;
}

function damaged(how: string): ArtifactCorruptError {
  return new ArtifactCorruptError(`The weight files of a model ${how}`);
}
