import { type EngineChoice } from '../config/config';
import { type ArtifactFormat } from '../formats/artifact-format';
import { type EngineReport, type LoadableVersion } from '../models/version';
import { ENGINE_NAMES, type EngineName } from './engines/engine';
import { EngineMissingError, EngineUnavailableError, ModelUnloadableError } from './runtime.errors';

/**
 * The engines that may run models, the preferred one first.
 *
 * `auto` prefers wasm, which starts everywhere; the native one and the reference come after it for
 * models that wasm lacks an op for.
 *
 * @throws EngineUnavailableError for an engine that this build does not bring
 */
export function allowedEngines(
  choice: EngineChoice,
  hasNative: boolean,
): readonly [EngineName, ...EngineName[]] {
  switch (choice) {
    case 'auto':
      return hasNative ? ['wasm', 'node', 'cpu'] : ['wasm', 'cpu'];
    case 'wasm':
    case 'node':
    case 'cpu':
      return [choice];
    case 'onnx':
      throw new EngineUnavailableError(
        `GRIDSTOW_ENGINE=onnx is not available in this build; it may be auto, ${ENGINE_NAMES.join(', ')}`,
      );
  }
}

/** Never the fastest, so it is tried only where no other engine runs a version. */
export const LAST_RESORT: EngineName = 'cpu';

/** Calls of fewer rows are like calls of one, larger ones like calls of 32. */
export const LARGE_BATCH_ROWS = 8;
/** Another engine has its price in memory: it must be so much faster than the preferred one. */
const WORTH_CHANGING = 0.8;

/** The report of an engine that could run a version and is not here. */
export const ENGINE_MISSING = 'engine_missing';

/**
 * The engines among the allowed ones that run artifacts of a format; all of them but for
 * SavedModels, which only TensorFlow itself can open.
 *
 * @throws EngineMissingError when none of the allowed ones does
 */
export function enginesFor(
  format: ArtifactFormat,
  allowed: readonly EngineName[],
): readonly EngineName[] {
  if (format !== 'tf-saved-model') return allowed;
  if (allowed.includes('node')) return ['node'];
  throw new EngineMissingError(
    `A TensorFlow SavedModel needs the node engine, which is not in use here. npm run native installs it; GRIDSTOW_ENGINE=auto or node then uses it`,
    { engine: 'node', install: 'npm run native' },
  );
}

/**
 * The engine for a call of so many rows of a version: of those that ran it the one that was
 * measured as the fastest, unless the preferred one is about as fast; else the first that was not
 * tried.
 *
 * @throws EngineMissingError when none here runs its format; ModelUnloadableError when every
 * allowed engine was tried and failed
 */
export function engineFor(
  allowed: readonly EngineName[],
  { format, engines: reports }: Pick<LoadableVersion, 'format' | 'engines'>,
  rows = 1,
): EngineName {
  const able = enginesFor(format, allowed);
  const [preferred, ...others] = able.filter((name) => reports[name]?.ok === true);
  if (preferred) {
    let [best, bestMs] = [preferred, expectedMs(reports[preferred], rows) * WORTH_CHANGING];
    for (const name of others) {
      const ms = expectedMs(reports[name], rows);
      if (ms < bestMs) [best, bestMs] = [name, ms];
    }
    return best;
  }
  const untried = able.find(
    (name) => reports[name] === undefined || reports[name].code === ENGINE_MISSING,
  );
  if (untried) return untried;
  throw new ModelUnloadableError('No engine that is allowed here can run the version', {
    engines: Object.fromEntries(allowed.map((name) => [name, reports[name]?.reason])),
  });
}

/** Engines that a version has yet to be measured on, or was with another release of the engine. */
export function isStale(
  allowed: readonly EngineName[],
  { format, engines: reports }: Pick<LoadableVersion, 'format' | 'engines'>,
  running: ReadonlyMap<EngineName, string>,
): boolean {
  if (format === 'tf-saved-model') {
    // Run by one engine only: there is nothing to choose.
    return allowed.includes('node') && reports['node']?.ok !== true;
  }
  return allowed.some((name) => {
    if (name === LAST_RESORT && allowed.length > 1) return false;
    const [report, description] = [reports[name], running.get(name)];
    return !report || (description !== undefined && report.measuredWith !== description);
  });
}

function expectedMs(report: EngineReport | undefined, rows: number): number {
  const { '1': one = Infinity, '32': many = one * 32 } = report?.msPerBatch ?? {};
  return rows < LARGE_BATCH_ROWS ? one : many;
}
