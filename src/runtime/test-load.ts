import { StoreError } from '../common/errors';
import { type TensorSpec } from '../common/tensor';
import { type EngineReport, type LoadableVersion } from '../models/version';
import { type ReadyFacts } from '../models/versions.repository';
import { type EngineName } from './engines/engine';
import { type Executor } from './executor';
import { versionKey } from './executor-protocol';
import { EngineUnavailableError, ExecutorLostError, ModelUnloadableError } from './runtime.errors';
import { type Sandbox } from './sandbox';
import { type Proof, proveModel } from './warm-up';

/**
 * The proof that a version runs, before anything may point at it.
 *
 * Engines are tried in their order of preference until one runs it; each attempt is bounded in time
 * and happens in the sandbox, from the bytes that are stored.
 */
export class TestLoad {
  constructor(
    private readonly sandbox: Sandbox,
    private readonly loadDeadlineMs: number,
    private readonly predictDeadlineMs: number,
  ) {}

  /** @throws ModelUnloadableError when none of the engines runs the version; says what each lacks */
  async run(version: LoadableVersion, engines: readonly EngineName[]): Promise<ReadyFacts> {
    if (version.format === 'opaque') return nothingToProve(version);
    const reports: Partial<Record<EngineName, EngineReport>> = {};
    const reasons: string[] = [];
    for (const engine of engines) {
      try {
        const { msPerBatch, rowsApart, ...facts } = await this.sandbox.run(
          engine,
          async (executor) => await this.prove(version, executor),
        );
        return { ...facts, engines: { ...reports, [engine]: { ok: true, msPerBatch, rowsApart } } };
      } catch (error) {
        const reason = reasonAgainst(engine, error);
        reports[engine] = { ok: false, reason };
        reasons.push(reason);
      }
    }
    throw new ModelUnloadableError(reasons.join('; '), { engines: reports });
  }

  private async prove(
    version: LoadableVersion,
    executor: Executor,
  ): Promise<Omit<ReadyFacts, 'engines'> & Pick<Proof, 'msPerBatch' | 'rowsApart'>> {
    const { bytes, inputs } = await executor.load(version, this.loadDeadlineMs);
    const { signature, msPerBatch, rowsApart, warnings } = await proveModel(
      declaredOrOwn(version.signature.inputs, inputs),
      async (tensors) => await executor.predict(version, tensors, this.predictDeadlineMs),
    );
    await executor.unload(versionKey(version), this.predictDeadlineMs);
    return {
      signature,
      msPerBatch,
      rowsApart,
      warnings,
      loadedBytes: Math.max(bytes, version.loadedBytes),
    };
  }
}

/** Files that are only kept are proven by their digests alone. */
function nothingToProve({ signature, loadedBytes }: LoadableVersion): ReadyFacts {
  return { signature, loadedBytes, engines: {}, warnings: [] };
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
