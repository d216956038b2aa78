import { type JsonObject } from '../json-value';
import { normalizedPath } from './normalized-path';

/** Files are cut here: TensorFlow.js in a browser fetches several at once and caches each. */
const SHARD_BYTES = 32 * 1024 * 1024;

/** A file of the normalised model, to be read before the next is asked for. */
export interface NormalizedPart {
  readonly path: string;
  readonly body: AsyncIterable<Uint8Array>;
}

/** A layers model of TensorFlow.js: its description, and its weights as one stream of bytes. */
export interface LayersModel {
  readonly topology: JsonObject;
  readonly generatedBy: string;
  /** Entries of a weights manifest, in the order of their bytes. */
  readonly weights: readonly object[];
  readonly weightBytes: number;
}

/** What `model.json` says; the shards are named as the converter of TensorFlow.js names them. */
export function describeModel(model: LayersModel): string {
  const { topology, generatedBy, weights, weightBytes } = model;
  const paths = shardNames(weightBytes);
  return JSON.stringify({
    format: 'layers-model',
    generatedBy,
    convertedBy: 'Gridstow',
    modelTopology: topology,
    weightsManifest: paths.length === 0 ? [] : [{ paths, weights }],
  });
}

/** The files of a normalised model; the weights are read once, from first to last. */
export async function* writeModel(
  description: string,
  weightBytes: number,
  weights: AsyncIterator<Uint8Array>,
): AsyncGenerator<NormalizedPart> {
  yield await Promise.resolve({
    path: normalizedPath('model.json'),
    body: once(Buffer.from(description)),
  });
  let rest: Uint8Array = new Uint8Array(0);
  async function* shard(): AsyncGenerator<Uint8Array> {
    let room = SHARD_BYTES;
    while (room > 0) {
      if (rest.length === 0) {
        const next = await weights.next();
        if (next.done === true) return;
        rest = next.value;
      }
      const piece = rest.subarray(0, room);
      rest = rest.subarray(piece.length);
      room -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }
  for (const name of shardNames(weightBytes)) {
    yield { path: normalizedPath(name), body: shard() };
  }
}

function shardNames(bytes: number): string[] {
  const count = Math.ceil(bytes / SHARD_BYTES);
  return Array.from({ length: count }, (_, index) => `group1-shard${index + 1}of${count}.bin`);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
