import { nameFault } from './artifact-names';
import { type InspectedFile } from './artifact-format';
import { type FaultLog } from './fault-log';
import { isObject, type JsonObject } from './json-value';
import { ShardLedger } from './shard-ledger';
import { type Shape, weightShapeFault } from './tensor-shape';

/** Types that a manifest can store, with the bytes of one element; of a text, those of its length. */
const STORED_BYTES = new Map([
  ['float32', 4],
  ['int32', 4],
  ['bool', 1],
  ['complex64', 8],
  ['string', 4],
]);

/** Types that weights are quantised to, and the types they may have come from. */
const QUANTIZED = new Map([
  ['uint8', { bytes: 1, from: ['float32', 'int32'], isScaled: true }],
  ['uint16', { bytes: 2, from: ['float32', 'int32'], isScaled: true }],
  ['float16', { bytes: 2, from: ['float32'], isScaled: false }],
]);

/** One weight of a manifest whose entry is sound. */
export interface WeightEntry {
  readonly path: string;
  readonly name: string;
  readonly shape: Shape;
  readonly elements: number;
  /** State of an optimizer, which is stored with some models and not part of them. */
  readonly isOptimizerState: boolean;
}

/** A weight with its place among the bytes; of texts, only the least that they take. */
export interface StoredWeight extends WeightEntry {
  readonly storedBytes: number;
}

export interface WeightsSummary {
  readonly weights: readonly StoredWeight[];
  readonly loadedBytes: number;
}

interface MeasuredWeight extends StoredWeight {
  readonly loadedBytes: number;
  readonly isText: boolean;
}

/**
 * Checks a weights manifest against itself and against the files of the upload.
 *
 * TensorFlow.js joins all shards, cuts them at the sizes that the manifest implies, and passes over
 * what is left: one wrong size silently shifts every weight behind it. So sizes must agree in each
 * group, and every shard must be named exactly once.
 */
export function checkWeightsManifest(
  manifest: unknown,
  entry: string,
  files: readonly InspectedFile[],
  faults: FaultLog,
): WeightsSummary {
  const path = `${entry}: weightsManifest`;
  const shards = new ShardLedger(entry, files, faults);
  let weights: readonly MeasuredWeight[] = [];
  if (Array.isArray(manifest)) {
    const names = new Set<unknown>();
    weights = manifest.flatMap((group: unknown, index) =>
      checkGroup(group, `${path}[${index}]`, names, shards, faults),
    );
    shards.reportUnnamed();
  } else {
    faults.add(
      path,
      'there is no weights manifest; it lists the weights and the files they are in',
    );
  }
  return {
    weights,
    loadedBytes: weights.reduce((sum, { loadedBytes }) => sum + loadedBytes, 0),
  };
}

function checkGroup(
  group: unknown,
  path: string,
  names: Set<unknown>,
  shards: ShardLedger,
  faults: FaultLog,
): MeasuredWeight[] {
  if (!isObject(group)) {
    faults.add(path, 'an object with paths and weights was expected');
    return [];
  }
  const { paths, weights } = group as { paths?: unknown; weights?: unknown };
  if (!Array.isArray(paths)) faults.add(`${path}.paths`, 'a list of file names was expected');
  if (!Array.isArray(weights)) faults.add(`${path}.weights`, 'a list of weights was expected');
  if (!Array.isArray(paths) || !Array.isArray(weights)) return [];

  const sizes = paths.map((name: unknown, index) => shards.take(name, `${path}.paths[${index}]`));
  const measured = weights.map((weight: unknown, index) =>
    checkWeight(weight, `${path}.weights[${index}]`, names, faults),
  );
  const sound = measured.filter((weight) => weight !== null);
  if (sound.length === measured.length && !sizes.includes(null)) {
    const present = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
    checkBytes(sound, present, path, faults);
  }
  return sound;
}

function checkBytes(
  weights: readonly MeasuredWeight[],
  present: number,
  path: string,
  faults: FaultLog,
): void {
  const needed = weights.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  // Texts are stored behind their lengths, so only the least that they take is known here.
  const isLeast = weights.some(({ isText }) => isText);
  if (present === needed || (isLeast && present > needed)) return;
  faults.add(
    path,
    `the weights of this group take ${isLeast ? 'at least ' : ''}${needed} bytes, but its files hold ${present}`,
  );
}

function checkWeight(
  weight: unknown,
  path: string,
  names: Set<unknown>,
  faults: FaultLog,
): MeasuredWeight | null {
  if (!isObject(weight)) {
    faults.add(path, 'an object with name, shape and dtype was expected');
    return null;
  }
  const before = faults.size;
  const { name, shape, dtype } = weight as { name?: unknown; shape?: unknown; dtype?: unknown };

  const badName = nameFault(name) ?? (names.has(name) ? 'two weights have this name' : undefined);
  if (badName !== undefined) faults.add(`${path}.name`, badName);
  names.add(name);

  const badShape = weightShapeFault(shape);
  if (badShape !== undefined) faults.add(`${path}.shape`, badShape);

  const plainBytes = typeof dtype === 'string' ? STORED_BYTES.get(dtype) : undefined;
  if (plainBytes === undefined) {
    faults.add(`${path}.dtype`, `one of ${[...STORED_BYTES.keys()].join(', ')} was expected`);
  }
  const quantizedBytes = checkQuantization(weight, path, faults);

  if (faults.size > before || plainBytes === undefined) return null;
  const sizes = shape as number[];
  const elements = sizes.reduce((product, size) => product * size, 1);
  return {
    path,
    name: name as string,
    shape: sizes,
    elements,
    isOptimizerState: weight['group'] === 'optimizer',
    storedBytes: elements * (quantizedBytes ?? plainBytes),
    loadedBytes: elements * plainBytes,
    isText: dtype === 'string',
  };
}

/** Bytes of one stored element of a quantised weight; undefined for others, and after a fault. */
function checkQuantization(
  weight: JsonObject,
  weightPath: string,
  faults: FaultLog,
): number | undefined {
  if (!Object.hasOwn(weight, 'quantization')) return undefined;
  const path = `${weightPath}.quantization`;
  const quantization = weight['quantization'];
  if (!isObject(quantization)) {
    faults.add(path, 'an object was expected');
    return undefined;
  }
  const { dtype } = quantization as { dtype?: unknown };
  const kind = typeof dtype === 'string' ? QUANTIZED.get(dtype) : undefined;
  if (!kind) {
    faults.add(`${path}.dtype`, `one of ${[...QUANTIZED.keys()].join(', ')} was expected`);
    return undefined;
  }
  const from = weight['dtype'];
  if (typeof from !== 'string' || !kind.from.includes(from)) {
    faults.add(`${path}.dtype`, `only ${kind.from.join(' and ')} can be quantised to this`);
  }
  // TensorFlow.js would take a text for a number here and make NaN of every weight.
  for (const key of kind.isScaled ? ['min', 'scale'] : []) {
    const value = quantization[key];
    // Weights are float32 once they are expanded: what does not fit one becomes Infinity.
    if (typeof value !== 'number' || !Number.isFinite(Math.fround(value))) {
      faults.add(`${path}.${key}`, 'a number that float32 can hold was expected');
    }
  }
  return kind.bytes;
}
