import { StoreError } from '../common/errors';
import { type NamedTensors, type TensorSpec } from '../common/tensor';
import { type EngineReport, type LoadableVersion } from '../models/version';
import { type TestLoadResult } from '../models/test-loader.port';
import { disagreement } from './agreement';
import { COMPILER_VERSION } from './compile/compiler-version';
import { ENGINE_MISSING, enginesFor, LAST_RESORT } from './engine-choice';
import { type EngineName } from './engines/engine';
import { type Executor } from './executor';
import { versionKey } from './executor-protocol';
import {
  EngineMissingError,
  EngineUnavailableError,
  ExecutorLostError,
  InferenceFailedError,
  ModelUnloadableError,
} from './runtime.errors';
import { type Sandbox } from './sandbox';
import { type Trial, trials } from './trial-inputs';
import { type Proof, proveModel } from './warm-up';

/** Engines that say what a model computes; the compiled form has to say the same. */
const REFERENCES: readonly EngineName[] = ['wasm', 'cpu'];
/** How long the reference may compute for comparisons: first the most telling ones are made. */
const TRIALS_MS = 4_000;
/** A batch of 32 is compared where it takes the reference no longer than this. */
const LARGE_TRIAL_MS = 2_000;

/**
 * The proof that a version runs, before anything may point at it.
 *
 * Each engine is measured, in its order of preference, the slow last resort only where no other
 * runs the version; each attempt is bounded in time and happens in the sandbox, from the bytes that
 * are stored. The compiled form comes last, and counts only when it answers as the reference did.
 */
export class TestLoad {
  constructor(
    private readonly sandbox: Sandbox,
    private readonly loadDeadlineMs: number,
    private readonly predictDeadlineMs: number,
    private readonly lastResort: EngineName | null = LAST_RESORT,
  ) {}

  /** @throws ModelUnloadableError when none of the engines runs the version; says what each lacks */
  async run(version: LoadableVersion, engines: readonly EngineName[]): Promise<TestLoadResult> {
    if (version.format === 'opaque') return nothingToProve(version);
    const able = ableEngines(version, engines);
    if (able instanceof EngineMissingError) return untried(version, able.message);
    const compiles = able.includes('onnx');
    const others = able.filter((engine) => engine !== 'onnx');
    const reports: Partial<Record<EngineName, EngineReport>> = {};
    let facts: Omit<TestLoadResult, 'engines'> | undefined;
    let answers: readonly Answered[] = [];
    for (const engine of others.length > 0 ? others : REFERENCES) {
      if (facts && engine === this.lastResort) continue;
      const tried = await this.attempt(engine, facts !== undefined, async (executor) => {
        const proven = await this.prove(version, executor);
        const answered =
          compiles && !facts ? await this.answer(version, executor, proven) : undefined;
        await executor.unload(versionKey(version), this.predictDeadlineMs);
        return { proven, answered };
      });
      if ('failed' in tried) {
        if (tried.error instanceof EngineUnavailableError && version.format === 'tf-saved-model') {
          return untried(version, tried.error.message);
        }
        reports[engine] = tried.failed;
      } else {
        const { proven, answered } = tried.done;
        reports[engine] = proven.report;
        answers = answered ?? answers;
        facts ??= proven.facts;
      }
    }
    if (compiles) {
      const signature = facts?.signature ?? version.signature;
      reports.onnx = await this.compare({ ...version, signature }, facts !== undefined, answers);
    }
    if (facts && able.some((engine) => reports[engine]?.ok)) return { ...facts, engines: reports };
    const reasons = Object.values(reports).flatMap(({ reason }) => reason ?? []);
    throw new ModelUnloadableError(reasons.join('; '), { engines: reports });
  }

  private async prove(version: LoadableVersion, executor: Executor): Promise<Proven> {
    const { bytes, inputs, readPaths, warnings } = await executor.load(
      version,
      this.loadDeadlineMs,
    );
    const proof = await proveModel(
      declaredOrOwn(version.signature.inputs, inputs),
      async (tensors) => await executor.predict(version, tensors, this.predictDeadlineMs),
    );
    const { signature, msPerBatch, rowsApart } = proof;
    return {
      proof,
      facts: {
        signature,
        warnings: [...warnings, ...proof.warnings],
        loadedBytes: Math.max(bytes, version.loadedBytes),
        provenPaths: readPaths,
      },
      report: { ok: true, measuredWith: executor.description, msPerBatch, rowsApart },
    };
  }

  /** What the reference answers to the trials, as many as there is time for. */
  private async answer(
    version: LoadableVersion,
    executor: Executor,
    { proof: { signature, size, msPerBatch } }: Proven,
  ): Promise<readonly Answered[]> {
    if (signature.inputs.some(({ dtype }) => dtype === 'string')) return [];
    const largest = (msPerBatch['32'] ?? Infinity) < LARGE_TRIAL_MS ? 32 : 3;
    const answered: Answered[] = [];
    let spentMs = 0;
    for (const trial of trials(signature.inputs, size, largest)) {
      if (spentMs > TRIALS_MS) break;
      const reply = await this.predictOrFail(version, executor, trial.inputs);
      // Numbers that the reference cannot compute with, such as places outside of a table.
      if (!reply) continue;
      spentMs += reply.inferMs;
      answered.push({ ...trial, outputs: reply.outputs });
    }
    return answered;
  }

  /** Measures the compiled form, and compares its answers with those of the reference. */
  private async compare(
    version: LoadableVersion,
    isRunning: boolean,
    answers: readonly Answered[],
  ): Promise<EngineReport> {
    if (!isRunning) return { ok: false, reason: 'No other engine runs the model to compare with' };
    const tried = await this.attempt('onnx', true, async (executor) => {
      const { report } = await this.prove(version, executor);
      let against: string | null = answers.length === 0 ? 'there is nothing to compare' : null;
      for (const { name, batch, inputs, outputs } of answers) {
        const reply = await this.predictOrFail(version, executor, inputs);
        const found = reply ? disagreement(reply.outputs, outputs) : 'it does not compute';
        against ??=
          found && `with ${name} in ${batch === 1 ? 'one row' : `${batch} rows`} ${found}`;
      }
      await executor.unload(versionKey(version), this.predictDeadlineMs);
      return { report, against };
    });
    const compiler = COMPILER_VERSION;
    if ('failed' in tried) return { ...tried.failed, compiler };
    const { report, against } = tried.done;
    if (against === null) return { ...report, compiler };
    const reason = `The compiled form is not used: ${against}`;
    const { measuredWith = '' } = report;
    return { ok: false, reason, measuredWith, compiler };
  }

  private async predictOrFail(
    version: LoadableVersion,
    executor: Executor,
    inputs: NamedTensors,
  ): Promise<{ readonly outputs: NamedTensors; readonly inferMs: number } | null> {
    try {
      return await executor.predict(version, inputs, this.predictDeadlineMs);
    } catch (error) {
      if (error instanceof InferenceFailedError) return null;
      throw error;
    }
  }

  /** Work in the sandbox, or the report of why an engine cannot do it. */
  private async attempt<T>(
    engine: EngineName,
    isRunning: boolean,
    work: (executor: Executor) => Promise<T>,
  ): Promise<{ readonly done: T } | { readonly failed: EngineReport; readonly error: unknown }> {
    let measuredWith: string | undefined;
    try {
      const done = await this.sandbox.run(engine, async (executor) => {
        measuredWith = executor.description;
        return await work(executor);
      });
      return { done };
    } catch (error) {
      // It runs already: that another engine cannot, or could not now, takes nothing from it.
      const reason = isRunning ? messageOf(error) : reasonAgainst(engine, error);
      // What says nothing about the version is found out anew another time.
      const isLasting = error instanceof StoreError && error.kind === 'invalid';
      const made = isLasting && measuredWith !== undefined ? { measuredWith } : {};
      return { failed: { ok: false, reason, ...made }, error };
    }
  }
}

interface Proven {
  readonly proof: Proof;
  readonly facts: Omit<TestLoadResult, 'engines'>;
  readonly report: EngineReport;
}

interface Answered extends Trial {
  readonly outputs: NamedTensors;
}

function ableEngines(
  { format }: LoadableVersion,
  allowed: readonly EngineName[],
): readonly EngineName[] | EngineMissingError {
  try {
    return enginesFor(format, allowed);
  } catch (error) {
    if (error instanceof EngineMissingError) return error;
    throw error;
  }
}

/** What can be run elsewhere is taken as its inspection found it, and its first load proves it. */
function untried({ signature, loadedBytes }: LoadableVersion, reason: string): TestLoadResult {
  return {
    signature,
    loadedBytes,
    engines: { node: { ok: false, code: ENGINE_MISSING, reason } },
    warnings: ['It was not run yet, because the engine that it needs is not here'],
    provenPaths: [],
  };
}

/** Files that are only kept are proven by their digests alone. */
function nothingToProve({ signature, loadedBytes }: LoadableVersion): TestLoadResult {
  return { signature, loadedBytes, engines: {}, warnings: [], provenPaths: [] };
}

/** What the inspection could not find out about the inputs, the loaded model may know. */
function declaredOrOwn(
  declared: readonly TensorSpec[],
  own: readonly TensorSpec[],
): readonly TensorSpec[] {
  return declared.length > 0 ? declared : own;
}

/** Why an engine cannot run a version. Whatever says nothing about the version is thrown on. */
function reasonAgainst(engine: EngineName, error: unknown): string {
  if (error instanceof EngineUnavailableError) return error.message;
  if (error instanceof ExecutorLostError) {
    return `Running the model ended the ${engine} engine's process`;
  }
  if (error instanceof StoreError && error.kind === 'invalid') return error.message;
  throw error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
