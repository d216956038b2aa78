import { itemsOf, type PlaneLayout, stage } from './byte-planes';
import { entropyBits } from './entropy';
import { type WeightDtype } from './segment.codec';
import { packedBytes, withoutRepeats, type ZstdSetting } from './zstd';

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
export const SAMPLED_ABOVE_BYTES = 64 * 1024;
const SAMPLE_PART_BYTES = 16 * 1024;
const BYTES_PER_PART = 1024 * 1024;
const MOST_PARTS = 4;

/** What shrinks this much is text or the like, and repays a long search as long as it is short. */
const TEXT_RATIO = 0.5;
const LONG_SEARCH_BYTES = 1024 * 1024;

/** Planes must win by this much on a sample: one frame is decoded faster. */
const PLANES_RATIO = 0.995;

const FRAME_SETTINGS: readonly ZstdSetting[] = ['plain15', 'plain14', 'plain13', 'near14', 'fast'];
const PLANE_SETTINGS: readonly ZstdSetting[] = ['plain17', 'plain14', 'near14', 'fast'];
/** Those that look for repeats, of which a sample of a difference shows too few. */
const SEARCHING: readonly ZstdSetting[] = ['near14', 'fast'];

/** Of fewer bytes everything is tried. */
const PROBED_ABOVE_BYTES = 4 * 1024;

/** Where taking repeats out leaves more than this, they are not searched for. */
const REPEATS_RATIO = 0.99;

/** For bytes without repeats: of any kind of number but those with planes. */
const BY_FREQUENCY: Plan = { layout: undefined, settings: ['plain15'], bytes: 0 };

/** What shrinks more than this is mostly runs: a code for single bytes spends a bit on each. */
const RUNS_RATIO = 0.2;

const LAYOUTS: Readonly<Record<WeightDtype, readonly PlaneLayout[]>> = {
  float32: [{ width: 4, rotate: true, phase: 0 }],
  int32: [{ width: 4, rotate: false, phase: 0 }],
  float16: [{ width: 2, rotate: true, phase: 0 }],
  bfloat16: [{ width: 2, rotate: true, phase: 0 }],
  uint16: [{ width: 2, rotate: false, phase: 0 }],
  int16: [{ width: 2, rotate: false, phase: 0 }],
  uint8: [],
  int8: [],
  bool: [],
};

/**
 * Finds the encoding that makes a sample of the bytes shortest; of few bytes all are the sample.
 *
 * Uses the stage of the thread.
 */
export function planFor(raw: Uint8Array, base?: Uint8Array, dtype?: WeightDtype): Plan {
  const isWhole = raw.length <= SAMPLED_ABOVE_BYTES;
  const sample = stageSample(raw, base, dtype);
  const settings = base ? SEARCHING : PLANE_SETTINGS;
  const layouts = layoutsOf(sample, dtype);
  const planes = (isWhole ? layouts : likeliest(sample, layouts)).map((layout) =>
    planPlanes(sample, layout, isWhole, settings),
  );
  const [best] = planes.toSorted((a, b) => a.bytes - b.bytes);
  // Where all bytes but the highest are noise there are no repeats to look for either.
  if (best && !isWhole && best.settings.slice(0, -1).every((setting) => setting === 'raw')) {
    return best;
  }
  if (dtype && layouts.length === 0 && !isWhole && !mayRepeat(sample, 'near')) return BY_FREQUENCY;
  const isText = !dtype && raw.length <= LONG_SEARCH_BYTES;
  const plain = planPlain(sample, isWhole, isText);
  return best && best.bytes < plain.bytes * (isWhole ? 1 : PLANES_RATIO) ? best : plain;
}

function planPlain(sample: Uint8Array, isWhole: boolean, mayBeText: boolean): Plan {
  const best = shortest(sample, FRAME_SETTINGS, isWhole);
  if (!mayBeText || best.bytes > sample.length * TEXT_RATIO) {
    return { layout: undefined, settings: [best.setting], bytes: best.bytes };
  }
  const dense = { setting: 'dense', bytes: packedBytes(sample, 'dense') } as const;
  const { setting, bytes } = dense.bytes < best.bytes ? dense : best;
  return { layout: undefined, settings: [setting], bytes };
}

function planPlanes(
  sample: Uint8Array,
  layout: PlaneLayout,
  isWhole: boolean,
  tried: readonly ZstdSetting[],
): Plan {
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
    const best = isFull ? undefined : shortest(plane, tried, isWhole);
    const isPacked = best && best.bytes < count;
    settings.push(isPacked ? best.setting : 'raw');
    bytes += isPacked ? best.bytes : count;
  }
  return { layout, settings, bytes };
}

/** The setting that makes bytes shortest; of a sample as far as it can tell. */
function shortest(
  bytes: Uint8Array,
  settings: readonly ZstdSetting[],
  isWhole: boolean,
): { readonly setting: ZstdSetting; readonly bytes: number } {
  const attempt = (setting: ZstdSetting): Attempt => ({
    setting,
    bytes: packedBytes(bytes, setting),
  });
  const plain = settings.filter((setting) => !SEARCHING.includes(setting));
  if (plain.length > 0 && bytes.length > PROBED_ABOVE_BYTES && !mayRepeat(bytes, 'near')) {
    // A sample is too short to tell other lengths of statistics apart.
    return (isWhole ? plain : plain.slice(0, 1)).map(attempt).reduce(shorter);
  }
  const tried = settings.map(attempt);
  const best = tried.reduce(shorter);
  if (best.bytes > bytes.length * RUNS_RATIO) return best;
  return tried.filter(({ setting }) => SEARCHING.includes(setting)).reduce(shorter);
}

/** Whether a search for repeats may find any, so many that less than a part of the bytes is left. */
export function mayRepeat(bytes: Uint8Array, among: 'near' | 'all', part = REPEATS_RATIO): boolean {
  return withoutRepeats(bytes, among) < bytes.length * Math.min(part, REPEATS_RATIO);
}

interface Attempt {
  readonly setting: ZstdSetting;
  readonly bytes: number;
}

function shorter<T extends { readonly bytes: number }>(a: T, b: T): T {
  return b.bytes < a.bytes ? b : a;
}

/** The layout whose planes, each byte taken for itself, carry the least. */
function likeliest(sample: Uint8Array, layouts: readonly PlaneLayout[]): readonly PlaneLayout[] {
  if (layouts.length < 2) return layouts;
  const kernel = stage();
  const ranked = layouts.map((layout) => {
    const count = itemsOf(sample.length, layout);
    kernel.items.copyWithin(0, layout.phase, sample.length);
    kernel.split(count, layout, false);
    kernel.items.copyWithin(layout.phase, 0, sample.length - layout.phase);
    let bits = 0;
    for (let index = 0; index < layout.width; index++) {
      bits += entropyBits(kernel.plane(index, count)) / layout.width;
    }
    return { layout, bits };
  });
  return [ranked.reduce((a, b) => (b.bits < a.bits ? b : a)).layout];
}

/** The layouts worth a try; without a hint, those of all kinds of numbers. */
function layoutsOf(sample: Uint8Array, dtype: WeightDtype | undefined): PlaneLayout[] {
  const layouts = dtype
    ? LAYOUTS[dtype]
    : ([2, 4] as const).flatMap((width) => {
        const phase = phaseOf(sample, width);
        return [true, false].map((rotate) => ({ width, rotate, phase }));
      });
  return layouts.filter((layout) => itemsOf(sample.length, layout) > 0);
}

/** The most regular byte of a number is that of sign and exponent, its last one. */
function phaseOf(sample: Uint8Array, width: 2 | 4): PlaneLayout['phase'] {
  const layout: PlaneLayout = { width, phase: 0, rotate: false };
  const count = itemsOf(sample.length, layout);
  if (count === 0) return 0;
  const kernel = stage();
  kernel.split(count, layout, false);
  const bits = Array.from({ length: width }, (_, index) => entropyBits(kernel.plane(index, count)));
  return ((bits.indexOf(Math.min(...bits)) + 1) % width) as PlaneLayout['phase'];
}

/**
 * Brings a sample, or what sets it apart from the base, into the stage. Its parts come from all
 * over the bytes and begin at multiples of 4, so that numbers stay aligned.
 */
function stageSample(raw: Uint8Array, base?: Uint8Array, dtype?: WeightDtype): Uint8Array {
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
    const parts = dtype ? Math.min(MOST_PARTS, Math.ceil(raw.length / BYTES_PER_PART)) : MOST_PARTS;
    const step = (raw.length - SAMPLE_PART_BYTES) / parts;
    for (let part = 0; part < parts; part++) {
      const from = Math.floor(((part + 0.5) * step) / 4) * 4;
      add(from, from + SAMPLE_PART_BYTES);
    }
  }
  if (base) kernel.xor(length);
  return kernel.items.subarray(0, length);
}
