import { type SegmentCodec, type WeightDtype } from './codec/segment.codec';

/** A difference ties the segment to its base for good, so it has to be worth it. */
const WORTH_A_BASE = 0.9;
const CLEARLY_WORTH_IT = 0.8;

/** Segments up to this size are encoded both ways; of larger ones a sample decides. */
const TRY_BOTH_BYTES = 256 * 1024;
const SAMPLE_BYTES = 32 * 1024;
const SAMPLES = 3;

/** A segment as it is stored. */
export interface EncodedSegment {
  readonly encoded: Uint8Array;
  readonly isDifference: boolean;
}

/** Encodes a segment by itself, or as the difference to its base where that is at least 10 % smaller. */
export async function encodeSmallest(
  codec: SegmentCodec,
  raw: Uint8Array,
  { dtype, base }: { readonly dtype?: WeightDtype; readonly base?: Uint8Array },
): Promise<EncodedSegment> {
  const hint = dtype ? { dtype } : {};
  if (!base || raw.length === 0) {
    return { encoded: await codec.encode(raw, hint), isDifference: false };
  }
  if (raw.length > TRY_BOTH_BYTES) {
    const [some, someOfBase] = [sample(raw), sample(base)];
    const sampled = await codec.encode(some, hint);
    const sampledDifference = await codec.encode(some, { ...hint, base: someOfBase });
    if (sampledDifference.length > sampled.length * WORTH_A_BASE) {
      return { encoded: await codec.encode(raw, hint), isDifference: false };
    }
    const difference = await codec.encode(raw, { ...hint, base });
    // Clearly better than all that the sample lets expect: not worth encoding the other way too.
    const expected = (sampled.length / some.length) * raw.length;
    if (difference.length < expected * CLEARLY_WORTH_IT) {
      return { encoded: difference, isDifference: true };
    }
    return smaller(await codec.encode(raw, hint), difference);
  }
  return smaller(await codec.encode(raw, hint), await codec.encode(raw, { ...hint, base }));
}

function smaller(alone: Uint8Array, difference: Uint8Array): EncodedSegment {
  return difference.length <= alone.length * WORTH_A_BASE
    ? { encoded: difference, isDifference: true }
    : { encoded: alone, isDifference: false };
}

function sample(bytes: Uint8Array): Uint8Array {
  const sampled = new Uint8Array(SAMPLES * SAMPLE_BYTES);
  for (let n = 0; n < SAMPLES; n++) {
    // At multiples of 8, so that elements of every type stay whole.
    const at = Math.floor((n * (bytes.length - SAMPLE_BYTES)) / (SAMPLES - 1) / 8) * 8;
    sampled.set(bytes.subarray(at, at + SAMPLE_BYTES), n * SAMPLE_BYTES);
  }
  return sampled;
}
