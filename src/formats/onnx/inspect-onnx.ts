import { type DType, type Signature } from '../../common/tensor';
import { type InspectedFile, type Inspection } from '../artifact-format';
import { nameFault } from '../artifact-names';
import { FaultLog, quoted } from '../fault-log';
import { completeSignature, type PartialSpec } from '../partial-signature';
import { weightShapeFault } from '../tensor-shape';
import { GraphCheck } from './check-graph';
import { type Declared, type OnnxGraph, type OnnxModel, readOnnxModel } from './onnx-model';
import { ONNX_TYPES, SERVED_TYPES } from './onnx-types';
import { servedName } from './served-name';

/** What ONNX Runtime 1.30 opens; older operator sets it runs without promising anything. */
const NEWEST_IR = 13;
const OPSETS: ReadonlyMap<string, readonly [oldest: number, newest: number]> = new Map([
  ['', [7, 26]],
  ['ai.onnx.ml', [1, 5]],
]);

/** The most that the encoding can hold in one message. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

/** Libraries by what their exporters call themselves. */
const FRAMEWORKS: ReadonlyMap<string, string> = new Map([
  ['skl2onnx', 'scikit-learn'],
  ['pytorch', 'pytorch'],
  ['tf2onnx', 'tensorflow'],
]);

const KEEP = 'or say "format": "opaque" in the metadata to keep the files as they are';

/**
 * Inspects an ONNX model: the one file whose content is one, with whatever lies beside it. Null
 * when there is none.
 *
 * @throws InvalidArtifactError with every fault
 */
export function inspectOnnx(
  files: readonly InspectedFile[],
  stated: Signature | undefined,
): Inspection | null {
  const models = files.filter(({ traits }) => traits?.onnx !== undefined);
  const [file] = models;
  if (!file) return null;
  const { path, bytes } = file;
  const faults = new FaultLog();
  for (const other of models.length > 1 ? models : []) {
    faults.add(
      other.path,
      `one of ${models.length} ONNX models; an artifact is one model: upload each as a model of its own, ${KEEP}`,
    );
  }
  faults.throwIfAny();
  const model = readFile(file, faults);
  checkRelease(model, path, faults);
  new GraphCheck(model, path, faults).run();
  const graph = model.graph ?? { nodes: [], tensors: [], sparse: [], inputs: [], outputs: [] };
  const inputs = fedInputs(graph);
  if (inputs.length === 0) faults.add(path, 'its graph takes no inputs');
  if (graph.outputs.length === 0) faults.add(path, 'its graph gives no outputs');
  const isRowwise = takesOneRow(inputs) && takesOneRow(graph.outputs);
  const toSpecs = (side: keyof Signature, declared: readonly Declared[]): PartialSpec[] =>
    specsOf(side, declared, path, faults).map((spec) =>
      isRowwise && spec.shape ? { ...spec, shape: [-1, ...spec.shape.slice(1)] } : spec,
    );
  const completed = completeSignature(
    { inputs: toSpecs('inputs', inputs), outputs: toSpecs('outputs', graph.outputs) },
    stated,
    faults,
  );
  faults.throwIfAny();
  return {
    format: 'onnx',
    entry: path,
    ...completed,
    loadedBytes: bytes,
    framework: FRAMEWORKS.get(model.producer) ?? 'onnx',
    warnings: isRowwise
      ? ['The model takes one row at a time: the rows of a request are computed one by one']
      : [],
  };
}

/** The inputs that have no value of their own in the file. */
function fedInputs({ inputs, tensors, sparse }: OnnxGraph): readonly Declared[] {
  const stored = new Set([
    ...tensors.map(({ name }) => name),
    ...sparse.map(({ values }) => values?.name ?? ''),
  ]);
  return inputs.filter(({ name }) => !stored.has(name));
}

function readFile({ path, bytes, traits }: InspectedFile, faults: FaultLog): OnnxModel {
  const { model, fault = 'it was not read' } = traits?.onnx ?? {};
  if (bytes > MAX_FILE_BYTES) {
    faults.add(path, `has ${bytes} bytes; an ONNX model in one file has at most ${MAX_FILE_BYTES}`);
  } else if (!model) faults.add(path, `is no whole ONNX model: ${fault}; upload it again, ${KEEP}`);
  faults.throwIfAny();
  return model
    ? readOnnxModel(model)
    : { irVersion: 0, producer: '', opsets: new Map(), graph: null, functions: [] };
}

function checkRelease(model: OnnxModel, path: string, faults: FaultLog): void {
  const { irVersion, opsets, functions } = model;
  if (irVersion > NEWEST_IR) {
    faults.add(path, `is of IR version ${irVersion}; ${NEWEST_IR} is the newest that runs here`);
  }
  if (!opsets.has('') && !opsets.has('ai.onnx.ml')) {
    faults.add(path, 'says for no operator set which release it means');
  }
  for (const imported of [opsets, ...functions.map((body) => body.opsets)]) {
    for (const [domain, release] of imported) {
      const [oldest, newest] = OPSETS.get(domain) ?? [release, release];
      if (release >= oldest && release <= newest) continue;
      faults.add(
        path,
        `is of opset ${release} of ${domain === '' ? 'ai.onnx' : domain}; ${oldest} to ${newest} run here: export it with another target_opset (opset_version in PyTorch)`,
      );
    }
  }
}

/** Whether every one has a first dimension of exactly one row. */
function takesOneRow(declared: readonly Declared[]): boolean {
  return declared.length > 0 && declared.every(({ dims }) => dims?.[0] === 1);
}

function specsOf(
  side: keyof Signature,
  declared: readonly Declared[],
  path: string,
  faults: FaultLog,
): PartialSpec[] {
  const names = new Set<string>();
  return declared.map(({ name, type, dims }) => {
    const served = servedName(name);
    const title = `the ${side === 'inputs' ? 'input' : 'output'} ${quoted(name)}`;
    const unfit = nameFault(served);
    if (unfit !== undefined) faults.add(path, `${title} cannot be served: ${unfit}`);
    if (names.has(served)) faults.add(path, `${title} is called as another one, but for :0`);
    names.add(served);
    const impossible = dims ? dimsFault(dims) : null;
    if (impossible !== null) faults.add(path, `${title} has impossible dimensions: ${impossible}`);
    return {
      name: served,
      dtype: dtypeOf(type, title, path, faults),
      shape: dims ?? undefined,
      path,
    };
  });
}

/** Some exporters write an open dimension as -1, others as a name, or leave it out. */
function dimsFault(dims: readonly number[]): string | null {
  const odd = dims.find((dimension) => dimension < 1 && dimension !== -1);
  if (odd !== undefined) return `${odd} is none; one that callers choose has a name or is left out`;
  return weightShapeFault(dims.map(Math.abs)) ?? null;
}

function dtypeOf(
  type: number | null,
  title: string,
  path: string,
  faults: FaultLog,
): DType | undefined {
  if (type === null) {
    faults.add(
      path,
      `${title} is no tensor but a sequence, a map or an optional value, which cannot be served; with skl2onnx, options={'zipmap': False} makes a tensor of probabilities`,
    );
    return undefined;
  }
  const dtype = ONNX_TYPES.get(type)?.dtype;
  if (!dtype && type !== 0) {
    const name = ONNX_TYPES.get(type)?.name ?? `number ${type}`;
    faults.add(path, `${title} is of the type ${name}; served are ${SERVED_TYPES}: cast it`);
  }
  return dtype;
}
