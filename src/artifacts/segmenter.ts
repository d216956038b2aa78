import { type Cut } from './cut-plan';

/** A stretch of a file in memory of its own, and what is known about it. */
export interface Segment {
  readonly raw: Uint8Array;
  readonly cut: Cut;
}

/** Cuts or joins pieces into segments as planned; the last one may be shorter than its cut. */
export async function* cutSegments(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  cuts: Iterator<Cut, never>,
): AsyncGenerator<Segment> {
  let cut = cuts.next().value;
  let raw: Uint8Array | undefined;
  let filled = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      raw ??= allocate(cut.bytes);
      const take = Math.min(cut.bytes - filled, piece.length - at);
      raw.set(piece.subarray(at, at + take), filled);
      filled += take;
      at += take;
      if (filled === cut.bytes) {
        yield { raw, cut };
        cut = cuts.next().value;
        raw = undefined;
        filled = 0;
      }
    }
  }
  if (raw && filled > 0) yield { raw: raw.subarray(0, filled), cut: { ...cut, bytes: filled } };
}

/** Memory that codec threads read without a copy. */
function allocate(bytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(bytes));
}
