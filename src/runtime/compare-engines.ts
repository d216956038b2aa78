import {
  DTYPE_BYTES,
  elementCount,
  type NamedTensors,
  type Signature,
  type Tensor,
  type TensorSpec,
} from '../common/tensor';
import { disagreement } from './agreement';
import {
  joinRows,
  splitOutputs,
  stackInputs,
  type StackedTensor,
  type StackedTensors,
} from './batch';
import { noise } from './trial-inputs';

/** Computes one batch; null where the model cannot compute with these numbers. */
export type Answer = (inputs: NamedTensors | StackedTensors) => Promise<NamedTensors | null>;

/** What is known of a model that the reference runs. */
export interface Compared {
  readonly signature: Signature;
  /** What stands in for the dimensions that the inputs leave open. */
  readonly size: number;
  /** Whether the reference computes each row by itself. */
  readonly rowsApart: boolean;
  /** How long the reference takes for one row. */
  readonly rowMs: number;
}

const KINDS = [
  { name: 'noise', range: [0, 1] },
  { name: 'zeros', range: [0, 0] },
  { name: 'negative numbers', range: [-2, 0] },
  { name: 'large numbers', range: [-255, 255] },
] as const;
const SMALL_BATCH = 3;
const LARGE_BATCH = 32;
/** A batch of 32 is compared where its rows are likely to take no longer, and no more memory. */
const LARGE_BATCH_MS = 2_000;
const LARGE_BATCH_BYTES = 64 * 1024 * 1024;
/** How long the reference may be kept busy; what would take longer is not compared at all. */
const REFERENCE_MS = 20_000;

/**
 * Why a compiled model does not compute what the reference does, or null when it does.
 *
 * They have to agree on noise, zeros, negative and large numbers, alone and three at once, and 32
 * where that is cheap. A reference that computes row by row is asked once for one row of each: what
 * it says to any mixture of them follows. So the comparison takes less of its time than the test
 * load did before.
 */
export async function whyUnequal(
  reference: Answer,
  compiled: Answer,
  model: Compared,
): Promise<string | null> {
  const { signature, size, rowsApart, rowMs } = model;
  const { inputs } = signature;
  if (inputs.some(({ dtype }) => dtype === 'string')) return 'texts are not compared';
  const isBatched = inputs.every(({ shape }) => shape[0] === -1);
  const rowsToAsk = KINDS.length * (rowsApart || !isBatched ? 1 : 1 + SMALL_BATCH);
  if (rowsToAsk * rowMs > REFERENCE_MS) {
    return `comparing would take about ${Math.round((rowsToAsk * rowMs) / 1000)} s`;
  }
  const trials = rowsApart ? mixtures(reference, model) : plainTrials(reference, model, isBatched);
  let compared = 0;
  for await (const { name, rows, inputs: given, expected } of trials) {
    const answer = await compiled(given);
    const found = expected
      ? difference(answer, expected)
      : answer && 'it computes what the reference refuses';
    if (found) return `with ${name} in ${rows === 1 ? 'one row' : `${rows} rows`} ${found}`;
    if (expected) compared++;
  }
  if (compared === 0) return 'there is nothing to compare';
  if (!inputs.some(hasOpenSizes)) return null;
  // Shapes that follow the inputs are computed by the model: another size tests how.
  const larger = noise(inputs, 1, size * 2, KINDS.length);
  const expected = await reference(larger);
  const found = expected && difference(await compiled(larger), expected);
  return found && `with noise of another size ${found}`;
}

interface Trial<Inputs = NamedTensors | StackedTensors> {
  readonly name: string;
  readonly rows: number;
  readonly inputs: Inputs;
  /** Null for numbers that the reference refuses, such as places outside of a table. */
  readonly expected: NamedTensors | null;
}

interface Answered extends Trial<NamedTensors> {
  readonly expected: NamedTensors;
}

/** Each row alone, each with two others beside it, and all of them over and over. */
async function* mixtures(reference: Answer, model: Compared): AsyncGenerator<Trial> {
  const asked = await askRows(reference, model);
  yield* asked;
  const answered = asked.filter(isAnswered);
  const take = (count: number, from: number): Trial => {
    const rows = Array.from(
      { length: count },
      (_, index) => answered[(from + index) % answered.length],
    ).filter((row) => row !== undefined);
    return {
      name: [...new Set(rows.map(({ name }) => name))].join(', '),
      rows: count,
      inputs: stackInputs(rows.map(({ inputs }) => inputs)),
      expected: joinRows(rows.map(({ expected }) => expected)),
    };
  };
  for (let from = 0; from < answered.length; from += SMALL_BATCH) yield take(SMALL_BATCH, from);
  if (answered.length > 0 && isCheap(model, answered)) yield take(LARGE_BATCH, 0);
}

/** What the reference says to one row of each kind. */
async function askRows(
  reference: Answer,
  { signature, size }: Compared,
): Promise<readonly Trial<NamedTensors>[]> {
  const rows = KINDS.map(({ name, range }, seed) => ({
    name,
    rows: 1,
    inputs: noise(signature.inputs, 1, size, seed, range),
  }));
  const together = await reference(stackInputs(rows.map(({ inputs }) => inputs)));
  const ones = rows.map(() => 1);
  const split = together && splitOutputs(together, ones);
  const asked: Trial<NamedTensors>[] = [];
  for (const [index, row] of rows.entries()) {
    // One that it refuses keeps it from computing the others.
    asked.push({ ...row, expected: split?.[index] ?? (await reference(row.inputs)) });
  }
  return asked;
}

/** Both compute each batch, for models that are no functions of a row. */
async function* plainTrials(
  reference: Answer,
  model: Compared,
  isBatched: boolean,
): AsyncGenerator<Trial> {
  const { signature, size } = model;
  const trial = async (seed: number, rows: number): Promise<Trial<NamedTensors>> => {
    const { name, range } = KINDS[seed] ?? KINDS[0];
    const inputs = noise(signature.inputs, rows, size, seed, range);
    return { name, rows, inputs, expected: await reference(inputs) };
  };
  const alone: Trial<NamedTensors>[] = [];
  for (const kind of KINDS.keys()) alone.push(await trial(kind, 1));
  yield* alone;
  if (!isBatched) return;
  for (const kind of KINDS.keys()) yield await trial(kind, SMALL_BATCH);
  if (isCheap(model, alone.filter(isAnswered))) yield await trial(0, LARGE_BATCH);
}

function isAnswered(trial: Trial<NamedTensors>): trial is Answered {
  return trial.expected !== null;
}

function isCheap({ rowMs }: Compared, rows: readonly Answered[]): boolean {
  const bytes = Math.max(
    ...rows.map(({ inputs, expected }) => bytesOf(inputs) + bytesOf(expected)),
  );
  return rowMs * LARGE_BATCH < LARGE_BATCH_MS && bytes * LARGE_BATCH < LARGE_BATCH_BYTES;
}

function bytesOf(tensors: NamedTensors | StackedTensors): number {
  return Object.values<Tensor | StackedTensor>(tensors).reduce(
    (sum, { dtype, shape }) => sum + elementCount(shape) * DTYPE_BYTES[dtype],
    0,
  );
}

function difference(actual: NamedTensors | null, expected: NamedTensors): string | null {
  return actual ? disagreement(actual, expected) : 'it does not compute';
}

function hasOpenSizes({ shape }: TensorSpec): boolean {
  return shape.slice(1).includes(-1);
}
