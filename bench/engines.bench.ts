import { type NamedTensors } from '../src/common/tensor';
import { type LoadableVersion } from '../src/models/version';
import { type EngineName } from '../src/runtime/engines/engine';
import { installedEngines } from '../src/runtime/engines/installed-engines';
import { Executor } from '../src/runtime/executor';
import { versionKey } from '../src/runtime/executor-protocol';
import { noise } from '../src/runtime/trial-inputs';
import { warmUp } from '../src/runtime/warm-up';
import { alternate, type Contender } from './alternate';
import { type Bench, type Effort } from './bench';
import { fixtureModel, fixtureModels } from './bench-models';
import { HeldFiles, versionOf } from './held-version';
import { type Result } from './report';

const BATCHES = [1, 32] as const;
const DEADLINE_MS = 120_000;
/** How long each engine computes in a round, at least two calls. */
const SLICE_MS = 100;
/** A batch that takes the slowest engine longer is left out. */
const BATCH_MS = 5_000;
/** What runs a few times as slow as all others tells nothing. */
const LEFT_OUT: ReadonlySet<EngineName> = new Set(['cpu']);

/** How fast does each engine compute each model, one row and 32 at a time, on one thread? */
export const benchEngines: Bench = async (_, effort) => {
  const names = fixtureModels();
  if (names.length === 0) console.log('bench: left out engines, no fixtures (GRIDSTOW_FIXTURES)');
  const engines = [...installedEngines()].filter((name) => !LEFT_OUT.has(name));
  const source = new HeldFiles();
  const executors = await Promise.all(
    engines.map(
      async (engine) =>
        await Executor.start({ engine, threads: 1, files: source, log: () => undefined }),
    ),
  );
  try {
    const results: Result[] = [];
    for (const name of names) {
      results.push(...(await benchModel(name, source, executors, effort)));
    }
    return summed(results);
  } finally {
    await Promise.all(
      executors.map(async (executor) => {
        await executor.stop();
      }),
    );
  }
};

async function benchModel(
  name: string,
  source: HeldFiles,
  executors: readonly Executor[],
  { rounds }: Effort,
): Promise<Result[]> {
  source.held = fixtureModel(name) ?? {};
  const version = versionOf(name, source.held);
  const able: Executor[] = [];
  let size = 1;
  for (const executor of executors) {
    try {
      await executor.load(version, DEADLINE_MS);
      ({ size } = await warmUp(version.signature.inputs, async (inputs) => {
        return await executor.predict(version, inputs, DEADLINE_MS);
      }));
      able.push(executor);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      console.log(`bench: left out ${name} on ${executor.engine}: ${reason}`);
    }
  }
  const results: Result[] = [];
  const isBatched = version.signature.inputs.every(({ shape }) => shape[0] === -1);
  for (const batch of able.length > 1 ? BATCHES : []) {
    if (batch > 1 && !isBatched) continue;
    const inputs = noise(version.signature.inputs, batch, size, 1);
    if (batch > 1 && (await slowest(able, version, noiseRow(version, size))) * batch > BATCH_MS) {
      continue;
    }
    const contenders = able.map((executor): Contender => ({
      name: executor.engine,
      role: executor.engine === 'onnx' ? 'ours' : 'peer',
      run: async () => ({ perSecond: await rowsPerSecond(executor, version, inputs, batch) }),
    }));
    results.push({
      question: `${name}, ${batch} row(s) a call`,
      unit: 'rows/s',
      rounds,
      ...(await alternate(contenders, rounds)),
      notes: [],
    });
  }
  for (const executor of able) await executor.unload(versionKey(version), DEADLINE_MS);
  return results;
}

function noiseRow({ signature }: LoadableVersion, size: number): NamedTensors {
  return noise(signature.inputs, 1, size, 1);
}

async function slowest(
  executors: readonly Executor[],
  version: LoadableVersion,
  inputs: NamedTensors,
): Promise<number> {
  const times: number[] = [];
  for (const executor of executors) {
    times.push((await executor.predict(version, inputs, DEADLINE_MS)).inferMs);
  }
  return Math.max(...times);
}

/** By the engine's own clock: the way to the executor and back is the same for all. */
async function rowsPerSecond(
  executor: Executor,
  version: LoadableVersion,
  inputs: NamedTensors,
  batch: number,
): Promise<number> {
  let [calls, spentMs] = [0, 0];
  while (calls < 2 || spentMs < SLICE_MS) {
    spentMs += (await executor.predict(version, inputs, DEADLINE_MS)).inferMs;
    calls++;
  }
  return (calls * batch * 1000) / spentMs;
}

/** Puts the medians over all models into the notes of the first result. */
function summed(results: readonly Result[]): Result[] {
  const notes = BATCHES.flatMap((batch) => {
    const asked = results.filter(({ question }) => question.includes(`, ${batch} row(s)`));
    const others = new Set(asked.flatMap(({ comparisons }) => comparisons.map((one) => one.other)));
    return [...others].map((other) => {
      const ratios = asked
        .flatMap(({ comparisons }) => comparisons.filter((one) => one.other === other))
        .map(({ ratio }) => ratio.median)
        .sort((a, b) => a - b);
      const middle = ratios[Math.floor(ratios.length / 2)] ?? NaN;
      return `onnx / ${other}, ${batch} row(s) a call: median ${middle.toFixed(1)} over ${ratios.length} models, least ${(ratios[0] ?? NaN).toFixed(1)}, most ${(ratios.at(-1) ?? NaN).toFixed(1)}`;
    });
  });
  return results.map((result, index) => (index === 0 ? { ...result, notes } : result));
}
