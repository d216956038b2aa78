import { StoreError } from '../common/errors';
import { type NamedTensors, type TensorSpec } from '../common/tensor';
import { otherForm } from '../formats/graph-form';
import { type ProvenForm } from '../models/compiled-forms.service';
import { type EngineReport, type LoadableVersion } from '../models/version';
import { type TestLoadResult } from '../models/test-loader.port';
import { type StackedTensors } from './batch';
import { whyUnequal } from './compare-engines';
import { COMPILER_VERSION } from './compile/compiler-version';
import { ENGINE_MISSING, enginesFor, LAST_RESORT, onlyEngineOf } from './engine-choice';
import { type EngineName } from './engines/engine';
import { type Executor } from './executor';
import { versionKey } from './executor-protocol';
import { firstLoadDeadlineMs } from './load.policy';
import {
  EngineMissingError,
  EngineUnavailableError,
  ExecutorLostError,
  InferenceFailedError,
  ModelUnloadableError,
  PredictionDeadlineError,
} from './runtime.errors';
import { type Beside, type Sandbox, type Work } from './sandbox';
import { measure, type Proof, proveModel } from './warm-up';

/** Engines that say what a model computes; the compiled form has to say the same. */
const REFERENCES: readonly EngineName[] = ['wasm', 'cpu'];
/**
 * The proof that a version runs, before anything may point at it.
 *
 * Each engine is measured, in its order of preference, the slow last resort only where no other
 * runs the version; each attempt is bounded in time and happens in the sandbox, from the bytes that
 * are stored. The compiled form counts only when it answers as the first one of the others does.
 */
export class TestLoad {
  constructor(
    private readonly sandbox: Sandbox,
    private readonly openMs: number,
    private readonly predictDeadlineMs: number,
    private readonly lastResort: EngineName | null = LAST_RESORT,
  ) {}

  /** @throws ModelUnloadableError when none of the engines runs the version; says what each lacks */
  async run(given: LoadableVersion, engines: readonly EngineName[]): Promise<TestLoadResult> {
    if (given.format === 'opaque') return nothingToProve(given);
    // What is proven is what this release makes of the version, not what was stored before.
    const version = { ...given, compiled: undefined };
    const able = ableEngines(version, engines);
    if (able instanceof EngineMissingError) return untried(version, able.message);
    const compiles = able.includes('onnx') && version.format !== 'onnx';
    const others = able.filter((engine) => !compiles || engine !== 'onnx');
    const reports: Partial<Record<EngineName, EngineReport>> = {};
    const lacks: boolean[] = [];
    let facts: Facts | undefined;
    let form: ProvenForm | undefined;
    for (const engine of others.length > 0 ? others : REFERENCES) {
      if (facts && engine === this.lastResort) continue;
      const isReference = compiles && !facts;
      const enter: Beside = async (name, work) =>
        await this.sandbox.run(name, work, isReference ? 'onnx' : undefined);
      const tried = await this.attempt(
        enter,
        engine,
        facts !== undefined,
        async (executor, beside) => {
          const proven = await this.prove(version, executor);
          const compiled = isReference
            ? await this.compare(version, executor, proven, beside)
            : undefined;
          if (executor.isAlive) await executor.unload(versionKey(version), this.predictDeadlineMs);
          return { proven, compiled };
        },
      );
      if ('failed' in tried) {
        if (tried.error instanceof EngineUnavailableError && onlyEngineOf(version.format)) {
          return untried(version, tried.error.message);
        }
        reports[engine] = tried.failed;
        lacks.push(isLacking(tried.error));
      } else {
        const { proven, compiled } = tried.done;
        reports[engine] = proven.report;
        if (compiled) reports.onnx = compiled.report;
        form ??= compiled?.form;
        facts ??= proven.facts;
      }
    }
    if (facts && able.some((engine) => reports[engine]?.ok)) {
      return { ...facts, engines: reports, ...(form ? { form } : {}) };
    }
    const reasons = new Set(Object.values(reports).flatMap(({ reason }) => reason ?? []));
    const way = lacks.includes(true) ? otherForm(version.format) : null;
    throw new ModelUnloadableError(
      [...reasons, ...(way === null ? [] : [way])].map(asSentence).join(' '),
      { engines: reports },
    );
  }

  private async prove(version: LoadableVersion, executor: Executor): Promise<Proven> {
    const { bytes, inputs, readPaths, warnings } = await this.open(version, executor);
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

  private async open(
    version: LoadableVersion,
    executor: Executor,
  ): Promise<Awaited<ReturnType<Executor['load']>>> {
    const deadlineMs = firstLoadDeadlineMs(this.openMs, version);
    try {
      return await executor.load(version, deadlineMs);
    } catch (cause) {
      if (!(cause instanceof PredictionDeadlineError)) throw cause;
      throw new ModelUnloadableError(
        `The ${executor.engine} engine had not opened the model after ${Math.round(deadlineMs / 1000)} s; what a graph makes of constants is computed then, so store its result instead, or allow more with GRIDSTOW_OPEN_TIMEOUT_MS`,
        { engine: executor.engine, deadlineMs },
        { cause },
      );
    }
  }

  /** Compares the compiled form with the reference, beside it, and measures it when it is equal. */
  private async compare(
    version: LoadableVersion,
    reference: Executor,
    { proof, facts: { signature } }: Proven,
    beside: Beside,
  ): Promise<Compared> {
    const named = { ...version, signature };
    const { size, rowsApart, msPerBatch } = proof;
    const tried = await this.attempt(beside, 'onnx', true, async (executor) => {
      const measuredWith = executor.description;
      const { compiled } = await this.open(named, executor);
      const against = await whyUnequal(
        async (inputs) => await this.answer(version, reference, inputs),
        async (inputs) => await this.answer(named, executor, inputs),
        { signature, size, rowsApart, rowMs: msPerBatch['1'] ?? Infinity },
      );
      const report: EngineReport =
        against === null
          ? {
              ok: true,
              measuredWith,
              msPerBatch: await measure(
                signature.inputs,
                size,
                async (inputs) => await executor.predict(named, inputs, this.predictDeadlineMs),
              ),
              // Each row was right alone and with others beside it.
              rowsApart,
            }
          : { ok: false, reason: `The compiled form is not used: ${against}`, measuredWith };
      await executor.unload(versionKey(version), this.predictDeadlineMs);
      return { report, bytes: compiled?.form };
    });
    const compiler = COMPILER_VERSION;
    if ('failed' in tried) return { report: { ...tried.failed, compiler } };
    const { report, bytes } = tried.done;
    const isProven = report.ok && bytes !== undefined;
    return {
      report: { ...report, compiler },
      ...(isProven ? { form: { engine: 'onnx', release: compiler, bytes } } : {}),
    };
  }

  private async answer(
    version: LoadableVersion,
    executor: Executor,
    inputs: NamedTensors | StackedTensors,
  ): Promise<NamedTensors | null> {
    try {
      return (await executor.predict(version, inputs, this.predictDeadlineMs)).outputs;
    } catch (error) {
      if (error instanceof InferenceFailedError) return null;
      throw error;
    }
  }

  /** Work in the sandbox, or the report of why an engine cannot do it. */
  private async attempt<T>(
    enter: Beside,
    engine: EngineName,
    isRunning: boolean,
    work: Work<T>,
  ): Promise<{ readonly done: T } | { readonly failed: EngineReport; readonly error: unknown }> {
    let measuredWith: string | undefined;
    try {
      const done = await enter(engine, async (executor, beside) => {
        measuredWith = executor.description;
        return await work(executor, beside);
      });
      return { done };
    } catch (error) {
      // It runs already: that another engine cannot, or could not now, takes nothing from it.
      const reason = isRunning ? messageOf(error) : reasonAgainst(engine, error);
      // What says nothing about the version is found out anew another time.
      const isLasting =
        error instanceof StoreError && error.kind === 'invalid' && !ranOutOfTime(error);
      const made = isLasting && measuredWith !== undefined ? { measuredWith } : {};
      return { failed: { ok: false, reason, ...made }, error };
    }
  }
}

type Facts = Omit<TestLoadResult, 'engines' | 'form'>;

interface Proven {
  readonly proof: Proof;
  readonly facts: Facts;
  readonly report: EngineReport;
}

/** What the comparison with the reference came to, and what was compared if it may be used. */
interface Compared {
  readonly report: EngineReport;
  readonly form?: ProvenForm;
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
function untried(
  { format, signature, loadedBytes }: LoadableVersion,
  reason: string,
): TestLoadResult {
  const engine = onlyEngineOf(format) ?? 'node';
  return {
    signature,
    loadedBytes,
    engines: { [engine]: { ok: false, code: ENGINE_MISSING, reason } },
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

/** Whether an engine found the model whole, and cannot compute it in this form. */
function isLacking(error: unknown): boolean {
  if (!(error instanceof ModelUnloadableError)) return false;
  return error.cause instanceof InferenceFailedError || error.details['missing'] !== undefined;
}

function ranOutOfTime({ cause }: StoreError): boolean {
  return cause instanceof PredictionDeadlineError;
}

function asSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
