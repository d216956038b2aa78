import { type NamedTensors, type Signature, type Tensor, type TensorSpec } from '../common/tensor';
import { isFloats, valuesOf } from '../common/tensor-values';
import { joinRows } from './batch';
import { InferenceFailedError, ModelUnloadableError } from './runtime.errors';
import { noise, zeros } from './trial-inputs';

/** Computes one batch with the model under test. */
export type Run = (
  inputs: NamedTensors,
) => Promise<{ readonly outputs: NamedTensors; readonly inferMs: number }>;

export interface Proof {
  /** Outputs as they came out; `-1` where two runs differed in size. */
  readonly signature: Signature;
  /** Median milliseconds of one call, by batch size. */
  readonly msPerBatch: Readonly<Record<string, number>>;
  /** Whether a row's outputs were the same with another row beside it. */
  readonly rowsApart: boolean;
  readonly warnings: readonly string[];
  /** What stood in for the dimensions that the inputs leave open. */
  readonly size: number;
}

/** Sizes to try for dimensions that the model leaves open; images with strides want a power of two. */
const OPEN_SIZES = [32, 1, 8, 64, 128, 224, 256];
const BATCH_SIZES = [1, 32];
const TIMED_CALLS = 5;
/** How far an output may move when rows are computed together. */
const TOLERANCE = 1e-5;
/** A batch size whose first call takes longer is timed by that call alone. */
const TIMING_BUDGET_MS = 250;

/**
 * Runs a freshly loaded model on zeros until it is known what comes out.
 *
 * One row proves that every op is there; two rows prove that the first dimension is a batch; a
 * second size shows which output dimensions follow the open ones of the inputs.
 *
 * @throws ModelUnloadableError when it runs on no inputs that fit its signature
 */
export async function proveModel(inputs: readonly TensorSpec[], run: Run): Promise<Proof> {
  const warnings: string[] = [];
  const { outputs: first, size } = await warmUp(inputs, run);
  const runs = [first];

  let proven = inputs;
  if (inputs.some(isBatched)) {
    const two = await attempt(run, zeros(inputs, 2, size));
    if (two) {
      runs.push(two);
      if (!followsBatch(first, two)) {
        warnings.push('No output has a row for each row of the input');
      }
    } else {
      warnings.push('The model runs on one row at a time only, though its shapes leave that open');
      proven = inputs.map(fixBatch);
    }
  }
  if (inputs.some(hasOpenSizes)) {
    const larger = await attempt(run, zeros(inputs, 1, size * 2));
    if (larger) runs.push(larger);
  }
  if (hasNaN(first)) warnings.push('An input of zeros gives NaN');
  const signature = { inputs: proven, outputs: describeOutputs(runs) };
  return {
    signature,
    rowsApart:
      [...signature.inputs, ...signature.outputs].every(isBatched) &&
      (await areRowsApart(proven, size, run)),
    msPerBatch: await measure(proven, size, run),
    warnings,
    size,
  };
}

/**
 * Runs one batch of zeros of the smallest legal size.
 *
 * @throws ModelUnloadableError when none of the sizes works
 */
export async function warmUp(
  inputs: readonly TensorSpec[],
  run: Run,
): Promise<{ readonly outputs: NamedTensors; readonly size: number }> {
  let failure: InferenceFailedError | undefined;
  for (const size of inputs.some(hasOpenSizes) ? OPEN_SIZES : [1]) {
    try {
      const { outputs } = await run(zeros(inputs, 1, size));
      if (Object.keys(outputs).length === 0) break;
      return { outputs, size };
    } catch (error) {
      if (!(error instanceof InferenceFailedError)) throw error;
      failure ??= error;
    }
  }
  // None of the sizes that were tried may be one that the model is made for.
  const advice = inputs.some(hasOpenSizes)
    ? '; where its inputs leave sizes open, the signature of the metadata can say which ones it takes'
    : '';
  throw new ModelUnloadableError(
    failure ? `${failure.message}${advice}` : 'The model computes no outputs',
    failure?.details,
    { cause: failure },
  );
}

/** Runs two rows of noise alone and together; texts are not compared, so they are never apart. */
async function areRowsApart(
  inputs: readonly TensorSpec[],
  size: number,
  run: Run,
): Promise<boolean> {
  if (inputs.some(({ dtype }) => dtype === 'string')) return false;
  const rows = [noise(inputs, 1, size, 1), noise(inputs, 1, size, 2)];
  const outputs: NamedTensors[] = [];
  for (const feed of [...rows, joinRows(rows)]) {
    const output = await attempt(run, feed);
    if (!output) return false;
    outputs.push(output);
  }
  const [first, second, both] = outputs;
  if (!first || !second || !both) return false;
  return Object.entries(joinRows([first, second])).every(([name, alone]) => {
    const beside = both[name];
    return beside !== undefined && isSame(alone, beside);
  });
}

function isSame(a: Tensor, b: Tensor): boolean {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
  const [one, other] = [valuesOf(a), valuesOf(b)];
  if (!isFloats(one) || !isFloats(other)) return Buffer.compare(a.data, b.data) === 0;
  return one.every((value, index) => {
    const beside = other[index] ?? NaN;
    if (Number.isNaN(value)) return Number.isNaN(beside);
    return value === beside || Math.abs(value - beside) <= TOLERANCE * (1 + Math.abs(value));
  });
}

async function attempt(run: Run, inputs: NamedTensors): Promise<NamedTensors | null> {
  try {
    return (await run(inputs)).outputs;
  } catch (error) {
    if (error instanceof InferenceFailedError) return null;
    throw error;
  }
}

function isBatched({ shape }: TensorSpec): boolean {
  return shape[0] === -1;
}

function hasOpenSizes({ shape }: TensorSpec): boolean {
  return shape.slice(1).includes(-1);
}

function fixBatch(spec: TensorSpec): TensorSpec {
  return isBatched(spec) ? { ...spec, shape: [1, ...spec.shape.slice(1)] } : spec;
}

function followsBatch(one: NamedTensors, two: NamedTensors): boolean {
  return Object.entries(one).some(
    ([name, { shape }]) => shape[0] === 1 && two[name]?.shape[0] === 2,
  );
}

function hasNaN(outputs: NamedTensors): boolean {
  return Object.values(outputs).some((tensor) => {
    const values = valuesOf(tensor);
    return isFloats(values) && values.some(Number.isNaN);
  });
}

function describeOutputs([first, ...others]: readonly NamedTensors[]): TensorSpec[] {
  return Object.entries(first ?? {}).map(([name, { dtype, shape }]) => ({
    name,
    dtype,
    shape: shape.map((dimension, axis) =>
      others.every((other) => other[name]?.shape[axis] === dimension) ? dimension : -1,
    ),
  }));
}

/** Median milliseconds of one call on zeros, by batch size; large batches where they are cheap. */
export async function measure(
  inputs: readonly TensorSpec[],
  size: number,
  run: Run,
): Promise<Record<string, number>> {
  const msPerBatch: Record<string, number> = {};
  let msPerRow = 0;
  for (const batch of inputs.some(isBatched) ? BATCH_SIZES : [1]) {
    if (msPerRow * batch > TIMING_BUDGET_MS * 4) break;
    const tensors = zeros(inputs, batch, size);
    const times: number[] = [];
    let spent = 0;
    while (times.length < TIMED_CALLS && (times.length === 0 || spent < TIMING_BUDGET_MS)) {
      const { inferMs } = await run(tensors);
      times.push(inferMs);
      spent += inferMs;
    }
    const median = times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
    msPerBatch[String(batch)] = Math.round(median * 1000) / 1000;
    msPerRow = median / batch;
  }
  return msPerBatch;
}
