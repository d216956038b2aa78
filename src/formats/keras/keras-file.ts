import { FaultLog, quoted } from '../fault-log';
import { inspectLayers } from '../inspect-layers';
import { parseJsonFile } from '../json-file';
import { asObject, isObject, type JsonObject, without } from '../json-value';
import { type KerasModel, readKerasModel } from '../keras-model';
import { modelVariables } from '../keras-variables';
import { refuseTwins } from '../refuse-twins';
import { type WeightEntry } from '../weights-manifest';
import { refuseInnerAxes } from './flow/refuse-inner-axes';
import { refuseLostMasks } from './flow/refuse-lost-masks';
import { type Hdf5File, type Hdf5Tensor } from './hdf5-file';
import { type KerasJob } from './keras-job';
import { KerasTooLargeError } from './keras.errors';
import { describeModel } from './layers-files';
import { rewriteTopology } from './rewrite-topology';
import { namesByLayer, namesByPlace, type NamedWeight, type OriginalClass } from './weight-names';
import { floorVariances } from './variance-floor';
import { FLOAT_TYPES, toFloat32 } from './widen';

/** Read and handed over at a time. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** Keras writes weights as they are; a file of which this many times its bytes come out is made up. */
const MAX_EXPANSION = 8;
const FREE_BYTES = 1024 * 1024;

const OLD_ROOT = 'model_weights';
const NEW_ROOT = 'layers';

/** One weight in the HDF5 file, and its name in TensorFlow.js. */
interface PlacedWeight extends NamedWeight {
  readonly tensor: Hdf5Tensor;
}

/** A model of Keras, described for TensorFlow.js; its weights are still in the file. */
export interface KerasPlan {
  readonly description: string;
  readonly weightBytes: number;
  readonly warnings: readonly string[];
  readonly weights: readonly PlacedWeight[];
}

/**
 * Finds the model in an HDF5 file of Keras, old (`.h5`) or new (`model.weights.h5` with the
 * `config.json` beside it); null when the file is of something else.
 *
 * Only what the configuration leads to is looked at: other groups, and links in circles among them,
 * are never followed.
 *
 * @throws InvalidArtifactError with every fault; KerasTooLargeError
 */
export function planKerasFile(file: Hdf5File, job: KerasJob): KerasPlan | null {
  const { path } = job;
  const faults = new FaultLog();
  const config = job.config ?? oldConfig(file);
  if (!config) {
    refuseWeightsAlone(file, path, faults);
    return null;
  }
  const parsed = parseJsonFile(config);
  if (parsed.fault !== undefined) faults.add(`${path}: configuration`, parsed.fault);
  else if (!isObject(parsed.value)) faults.add(`${path}: configuration`, 'an object was expected');
  faults.throwIfAny();
  const modelConfig = without(asObject(parsed.value), 'compile_config');
  const kerasVersion = job.kerasVersion ?? file.texts('/', 'keras_version')?.[0] ?? 'unknown';
  const original: JsonObject = { keras_version: kerasVersion, model_config: modelConfig };

  const at = `${path}: modelTopology`;
  const { topology, originalClasses, masked } = rewriteTopology(original, at, faults);
  const model = readKerasModel(topology, at, faults);
  if (model) {
    refuseLostMasks(model, masked, faults);
    refuseInnerAxes(model, faults);
    // Of what does not hang together the inspection tells, later on.
    refuseTwins(modelVariables(model, new FaultLog()), faults);
  }
  faults.throwIfAny();
  if (!model) return null;
  const originalClass: OriginalClass = ({ config: layer, className }) =>
    originalClasses.get(layer) ?? className;
  const named = job.config
    ? namesByPlace(model, NEW_ROOT, originalClass, (group) => countWeights(file, group), faults)
    : oldNames(file, model, originalClass, path, faults);
  const weights = locate(file, named, path, faults);
  checkSizes(weights, job);
  const entries = weights.map((weight) => entryOf(weight, path));
  inspectLayers(topology, entries, path, faults);
  faults.throwIfAny();

  const weightBytes = total(weights.map(({ tensor }) => elementsOf(tensor) * 4));
  return {
    description: describeModel({
      topology,
      generatedBy: `keras v${kerasVersion}`,
      weights: weights.map(({ name, tensor }) => ({ name, shape: tensor.shape, dtype: 'float32' })),
      weightBytes,
    }),
    weightBytes,
    warnings: warningsOf(weights),
    weights,
  };
}

/** The weights in the order of the description, as float32. */
export function* readWeights(file: Hdf5File, plan: KerasPlan): Generator<Uint8Array> {
  for (const { source, tensor, isVariance } of plan.weights) {
    const [rows = 1, ...row] = tensor.shape;
    const rowBytes = row.reduce((product, size) => product * size, tensor.elementBytes);
    const step = Math.max(1, Math.floor(PIECE_BYTES / Math.max(1, rowBytes)));
    for (let from = 0; from < rows; from += step) {
      const bytes = file.read(source, tensor, from, Math.min(rows, from + step));
      if (bytes.length === 0) continue;
      const floats = toFloat32(bytes, tensor.type);
      yield isVariance ? floorVariances(floats) : floats;
    }
  }
}

function oldConfig(file: Hdf5File): Uint8Array | null {
  const text = file.texts('/', 'model_config')?.[0];
  return text === undefined ? null : Buffer.from(text);
}

/** The old format keeps the names of a layer's weights in an attribute, cut up when it is long. */
function oldNames(
  file: Hdf5File,
  model: KerasModel,
  originalClass: OriginalClass,
  path: string,
  faults: FaultLog,
): NamedWeight[] {
  return model.layers.flatMap((layer) => {
    const group = `${OLD_ROOT}/${layer.name}`;
    const sources = listNames(file, group);
    const names = namesByLayer([layer], sources, originalClass, `${path}: ${group}`, faults);
    return names.map((weight) => ({ ...weight, source: `${group}/${weight.source}` }));
  });
}

function listNames(file: Hdf5File, group: string): readonly string[] {
  const whole = file.texts(group, 'weight_names');
  if (whole) return whole;
  const names: string[] = [];
  for (let part = 0; ; part++) {
    const more = file.texts(group, `weight_names${part}`);
    if (!more) return names;
    names.push(...more);
  }
}

function countWeights(file: Hdf5File, group: string): number {
  return file.members(group)?.filter((name) => /^\d+$/.test(name)).length ?? 0;
}

function locate(
  file: Hdf5File,
  named: readonly NamedWeight[],
  path: string,
  faults: FaultLog,
): PlacedWeight[] {
  const weights = named.flatMap((weight) => {
    const at = `${path}: ${weight.source}`;
    const tensor = file.tensor(weight.source);
    if (!tensor) faults.add(at, 'the weight is not there');
    else if (!FLOAT_TYPES.has(tensor.type)) {
      faults.add(
        at,
        `is of type ${tensor.type}; weights are float16, bfloat16, float32 or float64`,
      );
    } else if (!tensor.isLittleEndian && tensor.type !== 'bytes2') {
      faults.add(at, 'is stored with the most significant byte first');
    } else return [{ ...weight, tensor }];
    return [];
  });
  faults.throwIfAny();
  return weights;
}

/** By declared shapes, before a byte is read: a dataset may be declared larger than any memory. */
function checkSizes(weights: readonly PlacedWeight[], { path, hdf5, maxBytes }: KerasJob): void {
  const bytes = total(weights.map(({ tensor }) => elementsOf(tensor) * 4));
  if (bytes > maxBytes) throw new KerasTooLargeError(path, 'The weights take', bytes, maxBytes);
  if (bytes <= MAX_EXPANSION * hdf5.length + FREE_BYTES) return;
  const faults = new FaultLog();
  faults.add(path, `declares ${bytes} bytes of weights, but has ${hdf5.length} bytes in all`);
  faults.throwIfAny();
}

function refuseWeightsAlone(file: Hdf5File, path: string, faults: FaultLog): void {
  const isOld = file.attributes('/')?.includes('layer_names') === true;
  const isNew = file.members('/')?.includes(NEW_ROOT) === true && file.members(NEW_ROOT) !== null;
  if (!isOld && !isNew) return;
  faults.add(
    path,
    'holds weights of Keras without the model they belong to. Save the whole model (model.save), or set format to opaque in the metadata to keep the file as it is',
  );
  faults.throwIfAny();
}

function entryOf({ source, name, tensor }: PlacedWeight, path: string): WeightEntry {
  return {
    path: `${path}: ${source}`,
    name,
    shape: tensor.shape,
    elements: elementsOf(tensor),
    isOptimizerState: false,
  };
}

function warningsOf(weights: readonly PlacedWeight[]): string[] {
  const rounded = weights.filter(({ tensor }) => tensor.type === 'float64');
  if (rounded.length === 0) return [];
  const [first] = rounded;
  return [
    `${rounded.length} weights are float64 and were rounded to float32, ${quoted(first?.name ?? '')} among them`,
  ];
}

function elementsOf({ shape }: Hdf5Tensor): number {
  return shape.reduce((product, size) => product * size, 1);
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
