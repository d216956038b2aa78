import type { io } from '@tensorflow/tfjs-core';

import { ArtifactCorruptError } from '../../artifacts/artifact.errors';

type WeightSpec = io.WeightsManifestEntry;

/** Bytes of one element, by type; strings have none of their own. */
const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  bool: 1,
  complex64: 8,
  uint8: 1,
  uint16: 2,
  float16: 2,
};

const LENGTH_BYTES = 4;

/** The bytes of one weight, in a buffer that holds nothing else. */
export interface WeightBytes {
  readonly spec: WeightSpec;
  readonly bytes: ArrayBuffer;
}

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
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<WeightBytes> {
  const feed = new Feed(pieces);
  try {
    for (const spec of specs) {
      const size = spec.shape.reduce((product, dimension) => product * dimension, 1);
      const bytes =
        spec.dtype === 'string' && !spec.quantization
          ? await takeStrings(feed, size)
          : await feed.take(size * (ELEMENT_BYTES[spec.quantization?.dtype ?? spec.dtype] ?? 4));
      yield { spec, bytes };
    }
    // Also what makes the source compare its digest, which it does behind its last byte.
    if (!(await feed.isAtEnd())) throw damaged('go on after the last weight');
  } finally {
    await feed.close();
  }
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
  private readonly source: AsyncIterator<Uint8Array>;
  private piece = new Uint8Array(0);
  private at = 0;

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.source = pieces[Symbol.asyncIterator]();
  }

  async take(count: number): Promise<ArrayBuffer> {
    const { piece } = this;
    const left = piece.length - this.at;
    if (left === 0 && count > 0) {
      await this.next();
      const { buffer, byteLength } = this.piece;
      if (byteLength === count && buffer.byteLength === count && buffer instanceof ArrayBuffer) {
        this.at = count;
        return buffer;
      }
    }
    const whole = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      if (this.at === this.piece.length) await this.next();
      const part = this.piece.subarray(this.at, this.at + count - filled);
      whole.set(part, filled);
      filled += part.length;
      this.at += part.length;
    }
    return whole.buffer;
  }

  async isAtEnd(): Promise<boolean> {
    while (this.at === this.piece.length) {
      const next = await this.source.next();
      if (next.done === true) return true;
      this.piece = next.value as Uint8Array<ArrayBuffer>;
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

function damaged(how: string): ArtifactCorruptError {
  return new ArtifactCorruptError(`The weight files of a model ${how}`);
}
