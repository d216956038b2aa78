import { StoreError } from '../common/errors';
import { type TensorSpec } from '../common/tensor';
import { type EngineReport, type LoadableVersion } from '../models/version';
import { type TestLoadResult } from '../models/test-loader.port';
import { ENGINE_MISSING, enginesFor, LAST_RESORT } from './engine-choice';
import { type EngineName } from './engines/engine';
import { type Executor } from './executor';
import { versionKey } from './executor-protocol';
import {
  EngineMissingError,
  EngineUnavailableError,
  ExecutorLostError,
  ModelUnloadableError,
} from './runtime.errors';
import { type Sandbox } from './sandbox';
import { proveModel } from './warm-up';

/**
 * The proof that a version runs, before anything may point at it.
 *
 * Each engine is measured, in its order of preference, the slow last resort only where no other
 * runs the version; each attempt is bounded in time and happens in the sandbox, from the bytes that
 * are stored.
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
    const reports: Partial<Record<EngineName, EngineReport>> = {};
    const reasons: string[] = [];
    let facts: Omit<TestLoadResult, 'engines'> | undefined;
    for (const engine of able) {
      if (facts && engine === this.lastResort) continue;
      try {
        const { report, ...found } = await this.sandbox.run(
          engine,
          async (executor) => await this.prove(version, executor),
        );
        facts ??= found;
        reports[engine] = report;
      } catch (error) {
        if (error instanceof EngineUnavailableError && version.format === 'tf-saved-model') {
          return untried(version, error.message);
        }
        // It runs already: that another engine cannot, or could not now, takes nothing from it.
        const reason = facts ? messageOf(error) : reasonAgainst(engine, error);
        reports[engine] = { ok: false, reason };
        reasons.push(reason);
      }
    }
    if (facts) return { ...facts, engines: reports };
    throw new ModelUnloadableError(reasons.join('; '), { engines: reports });
  }

  private async prove(
    version: LoadableVersion,
    executor: Executor,
  ): Promise<Omit<TestLoadResult, 'engines'> & { readonly report: EngineReport }> {
    const { bytes, inputs, readPaths, warnings } = await executor.load(
      version,
      this.loadDeadlineMs,
    );
    const proof = await proveModel(
      declaredOrOwn(version.signature.inputs, inputs),
      async (tensors) => await executor.predict(version, tensors, this.predictDeadlineMs),
    );
    await executor.unload(versionKey(version), this.predictDeadlineMs);
    const { signature, msPerBatch, rowsApart } = proof;
    return {
      signature,
      report: { ok: true, measuredWith: executor.description, msPerBatch, rowsApart },
      warnings: [...warnings, ...proof.warnings],
      loadedBytes: Math.max(bytes, version.loadedBytes),
      provenPaths: readPaths,
    };
  }
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
