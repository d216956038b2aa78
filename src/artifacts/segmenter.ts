import { type Shared, type SharedMemory } from './codec/shared-memory';
import { type Cut } from './cut-plan';

/** A stretch of a file in memory of its own, which threads see as well, and what is known about it. */
export interface Segment {
  readonly raw: Uint8Array;
  readonly cut: Cut;
  /** To be called once nobody needs `raw` any more. */
  readonly release: () => void;
}

/** Cuts or joins pieces into segments as planned; the last one may be shorter than its cut. */
export async function* cutSegments(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  cuts: Iterator<Cut, never>,
  memory: SharedMemory,
): AsyncGenerator<Segment> {
  let cut = cuts.next().value;
  let taken: Shared | undefined;
  let filled = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      taken ??= memory.take(cut.bytes);
      const { bytes: raw, release } = taken;
      const take = Math.min(cut.bytes - filled, piece.length - at);
      raw.set(piece.subarray(at, at + take), filled);
      filled += take;
      at += take;
      if (filled === cut.bytes) {
        yield { raw, cut, release };
        cut = cuts.next().value;
        taken = undefined;
        filled = 0;
      }
    }
  }
  if (taken) {
    const { bytes, release } = taken;
    yield { raw: bytes.subarray(0, filled), cut: { ...cut, bytes: filled }, release };
  }
}
