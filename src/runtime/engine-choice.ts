import assert from 'node:assert';

import { type EngineChoice } from '../config/config';
import { type ArtifactFormat } from '../formats/artifact-format';
import { type EngineReport, type LoadableVersion } from '../models/version';
import { COMPILER_VERSION } from './compile/compiler-version';
import { ENGINE_NAMES, type EngineName } from './engines/engine';
import { EngineMissingError, ModelUnloadableError } from './runtime.errors';

/**
 * The engines that may run models, the preferred one first.
 *
 * `auto` prefers the compiled form where there is one, then wasm, which starts everywhere; the
 * native one and the reference come after it for models that wasm lacks an op for.
 */
export function allowedEngines(
  choice: EngineChoice,
  installed: ReadonlySet<EngineName>,
): readonly [EngineName, ...EngineName[]] {
  if (choice !== 'auto') return [choice];
  const [first, ...others] = ENGINE_NAMES.filter((name) => installed.has(name));
  assert(first, 'some engines come with the service');
  return [first, ...others];
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
 * tried. A compiled form runs only when this very compiler's was proven to compute the same.
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
  const [preferred, ...others] = able.filter((name) => isProven(name, reports[name]));
  if (preferred) {
    let [best, bestMs] = [preferred, expectedMs(reports[preferred], rows) * WORTH_CHANGING];
    for (const name of others) {
      const ms = expectedMs(reports[name], rows);
      if (ms < bestMs) [best, bestMs] = [name, ms];
    }
    return best;
  }
  const untried = able.find((name) => mayBeTried(name, reports[name]));
  if (untried) return untried;
  throw new ModelUnloadableError('No engine that is allowed here can run the version', {
    engines: Object.fromEntries(allowed.map((name) => [name, reports[name]?.reason])),
  });
}

/** Whether a version was proven on one of the engines, or may be tried on one. */
export function canRun(
  allowed: readonly EngineName[],
  { engines: reports }: Pick<LoadableVersion, 'engines'>,
): boolean {
  return allowed.some((name) => isProven(name, reports[name]) || mayBeTried(name, reports[name]));
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

function isProven(name: EngineName, report: EngineReport | undefined): boolean {
  if (report?.ok !== true) return false;
  return name !== 'onnx' || report.compiler === COMPILER_VERSION;
}

function mayBeTried(name: EngineName, report: EngineReport | undefined): boolean {
  return name !== 'onnx' && (report === undefined || report.code === ENGINE_MISSING);
}

function expectedMs(report: EngineReport | undefined, rows: number): number {
  const { '1': one = Infinity, '32': many = one * 32 } = report?.msPerBatch ?? {};
  return rows < LARGE_BATCH_ROWS ? one : many;
}
