import { itemsOf, type PlaneLayout, stage } from './byte-planes';
import { entropyBits } from './entropy';
import { type WeightDtype } from './segment.codec';
import { packedBytes, type ZstdSetting } from './zstd';

/** How the bytes of a block are encoded. */
export interface Plan {
  /** Without one, all bytes go into one zstd frame. */
  readonly layout: PlaneLayout | undefined;
  /** For each plane, or for all bytes; `raw` keeps them as they are. */
  readonly settings: readonly (ZstdSetting | 'raw')[];
  /** What a sample came to. */
  readonly bytes: number;
}

/** A byte that carries more bits than this gains nothing worth its decoding. */
const FULL_BITS = 7.9;

/** Below this the bytes themselves are tried in every way; above it a sample of them. */
const SAMPLED_ABOVE_BYTES = 64 * 1024;
const SAMPLE_PART_BYTES = 16 * 1024;
const SAMPLE_PARTS = 4;

/** What shrinks this much is text or the like, and repays a long search as long as it is short. */
const TEXT_RATIO = 0.5;
const LONG_SEARCH_BYTES = 256 * 1024;

/** Planes must win by this much on a sample: one frame is decoded faster. */
const PLANES_RATIO = 0.995;

const FRAME_SETTINGS: readonly ZstdSetting[] = ['plain15', 'plain14', 'plain13', 'near14', 'fast'];
const PLANE_SETTINGS: readonly ZstdSetting[] = ['plain17', 'plain14', 'near14', 'fast'];

const WIDTHS: Readonly<Record<WeightDtype, 1 | 2 | 4>> = {
  float32: 4,
  int32: 4,
  float16: 2,
  bfloat16: 2,
  uint16: 2,
  int16: 2,
  uint8: 1,
  int8: 1,
  bool: 1,
};

/**
 * Finds the encoding that makes a sample of the bytes shortest; of few bytes all are the sample.
 *
 * Uses the stage of the thread.
 */
export function planFor(raw: Uint8Array, base?: Uint8Array, dtype?: WeightDtype): Plan {
  const isWhole = raw.length <= SAMPLED_ABOVE_BYTES;
  const sample = stageSample(raw, base);
  const planes = layoutsOf(sample, dtype).map((layout) => planPlanes(sample, layout, isWhole));
  const [best] = planes.toSorted((a, b) => a.bytes - b.bytes);
  // Where all bytes but the highest are noise there are no repeats to look for either.
  if (best && !isWhole && best.settings.slice(0, -1).every((setting) => setting === 'raw')) {
    return best;
  }
  const plain = planPlain(sample, raw.length);
  return best && best.bytes < plain.bytes * (isWhole ? 1 : PLANES_RATIO) ? best : plain;
}

function planPlain(sample: Uint8Array, rawBytes: number): Plan {
  const best = shortest(sample, FRAME_SETTINGS);
  if (rawBytes > LONG_SEARCH_BYTES || best.bytes > sample.length * TEXT_RATIO) {
    return { layout: undefined, settings: [best.setting], bytes: best.bytes };
  }
  const dense = { setting: 'dense', bytes: packedBytes(sample, 'dense') } as const;
  const { setting, bytes } = dense.bytes < best.bytes ? dense : best;
  return { layout: undefined, settings: [setting], bytes };
}

function planPlanes(sample: Uint8Array, layout: PlaneLayout, isWhole: boolean): Plan {
  const kernel = stage();
  const count = itemsOf(sample.length, layout);
  kernel.items.copyWithin(0, layout.phase, sample.length);
  kernel.split(count, layout, false);
  // The sample is needed again for other layouts.
  kernel.items.copyWithin(layout.phase, 0, sample.length - layout.phase);
  const settings: (ZstdSetting | 'raw')[] = [];
  let bytes = sample.length - count * layout.width;
  for (let index = 0; index < layout.width; index++) {
    const plane = kernel.plane(index, count);
    const isFull = !isWhole && entropyBits(plane) > FULL_BITS;
    const best = isFull ? undefined : shortest(plane, PLANE_SETTINGS);
    const isPacked = best && best.bytes < count;
    settings.push(isPacked ? best.setting : 'raw');
    bytes += isPacked ? best.bytes : count;
  }
  return { layout, settings, bytes };
}

function shortest(
  bytes: Uint8Array,
  settings: readonly ZstdSetting[],
): { readonly setting: ZstdSetting; readonly bytes: number } {
  return settings
    .map((setting) => ({ setting, bytes: packedBytes(bytes, setting) }))
    .reduce((a, b) => (b.bytes < a.bytes ? b : a));
}

/** The layouts worth a try. */
function layoutsOf(sample: Uint8Array, dtype: WeightDtype | undefined): PlaneLayout[] {
  const widths = dtype ? [WIDTHS[dtype]] : [2, 4];
  const layouts: PlaneLayout[] = [];
  for (const width of widths) {
    if ((width !== 2 && width !== 4) || sample.length < 2 * width) continue;
    const phase = dtype ? 0 : phaseOf(sample, width);
    layouts.push({ width, phase, rotate: true }, { width, phase, rotate: false });
  }
  return layouts;
}

/** The most regular byte of a number is that of sign and exponent, its last one. */
function phaseOf(sample: Uint8Array, width: 2 | 4): PlaneLayout['phase'] {
  const layout: PlaneLayout = { width, phase: 0, rotate: false };
  const count = itemsOf(sample.length, layout);
  const kernel = stage();
  kernel.split(count, layout, false);
  const bits = Array.from({ length: width }, (_, index) => entropyBits(kernel.plane(index, count)));
  return ((bits.indexOf(Math.min(...bits)) + 1) % width) as PlaneLayout['phase'];
}

/**
 * Brings a sample, or what sets it apart from the base, into the stage. Its parts come from all
 * over the bytes and begin at multiples of 4, so that numbers stay aligned.
 */
function stageSample(raw: Uint8Array, base: Uint8Array | undefined): Uint8Array {
  const kernel = stage();
  let length = 0;
  const add = (from: number, to: number): void => {
    kernel.items.set(raw.subarray(from, to), length);
    if (base) kernel.base.set(base.subarray(from, to), length);
    length += to - from;
  };
  if (raw.length <= SAMPLED_ABOVE_BYTES) {
    add(0, raw.length);
  } else {
    const step = (raw.length - SAMPLE_PART_BYTES) / (SAMPLE_PARTS - 1);
    for (let part = 0; part < SAMPLE_PARTS; part++) {
      const from = Math.floor((part * step) / 4) * 4;
      add(from, from + SAMPLE_PART_BYTES);
    }
  }
  if (base) kernel.xor(length);
  return kernel.items.subarray(0, length);
}
