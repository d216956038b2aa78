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

/** Formats that one engine alone runs as they are, and how to get it. */
const ONLY_ENGINES = {
  'tf-saved-model': {
    engine: 'node',
    title: 'A TensorFlow SavedModel',
    install: 'npm run native',
  },
  onnx: { engine: 'onnx', title: 'An ONNX model', install: 'npm install --include=optional' },
} as const;

/** The one engine that runs artifacts of a format; null where several do. */
export function onlyEngineOf(format: ArtifactFormat): EngineName | null {
  return format === 'tf-saved-model' || format === 'onnx' ? ONLY_ENGINES[format].engine : null;
}

/**
 * The engines among the allowed ones that run artifacts of a format: all of them for models of
 * TensorFlow.js, one for those of other libraries.
 *
 * @throws EngineMissingError when none of the allowed ones does
 */
export function enginesFor(
  format: ArtifactFormat,
  allowed: readonly EngineName[],
): readonly EngineName[] {
  if (format !== 'tf-saved-model' && format !== 'onnx') return allowed;
  const { engine, title, install } = ONLY_ENGINES[format];
  if (allowed.includes(engine)) return [engine];
  throw new EngineMissingError(
    `${title} needs the ${engine} engine, which is not in use here. ${install} installs it; GRIDSTOW_ENGINE=auto or ${engine} then uses it`,
    { engine, install },
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
  const [preferred, ...others] = able.filter((name) => isProven(name, reports[name], format));
  if (preferred) {
    let [best, bestMs] = [preferred, expectedMs(reports[preferred], rows) * WORTH_CHANGING];
    for (const name of others) {
      const ms = expectedMs(reports[name], rows);
      if (ms < bestMs) [best, bestMs] = [name, ms];
    }
    return best;
  }
  const untried = able.find((name) => mayBeTried(name, reports[name], format));
  if (untried) return untried;
  throw new ModelUnloadableError('No engine that is allowed here can run the version', {
    engines: Object.fromEntries(allowed.map((name) => [name, reports[name]?.reason])),
  });
}

/** Whether a version was proven on one of the engines, or may be tried on one. */
export function canRun(
  allowed: readonly EngineName[],
  { format, engines: reports }: Pick<LoadableVersion, 'format' | 'engines'>,
): boolean {
  // There is no other choice: whoever loads it is told what is missing.
  if (onlyEngineOf(format) !== null) return true;
  return allowed.some(
    (name) => isProven(name, reports[name], format) || mayBeTried(name, reports[name], format),
  );
}

/** Engines that a version has yet to be measured on, or was with another release of the engine. */
export function isStale(
  allowed: readonly EngineName[],
  { format, engines: reports }: Pick<LoadableVersion, 'format' | 'engines'>,
  running: ReadonlyMap<EngineName, string>,
): boolean {
  const only = onlyEngineOf(format);
  // Run by one engine only: there is nothing to choose.
  if (only !== null) return allowed.includes(only) && reports[only]?.ok !== true;
  return allowed.some((name) => {
    if (name === LAST_RESORT && allowed.length > 1) return false;
    const [report, description] = [reports[name], running.get(name)];
    return !report || (description !== undefined && report.measuredWith !== description);
  });
}

/**
 * Whether a version could be loaded from a stored compiled form, and there is none that this
 * release of the compiler made.
 */
export function lacksForm(
  allowed: readonly EngineName[],
  {
    format,
    engines: { onnx: report },
    compiled,
  }: Pick<LoadableVersion, 'format' | 'engines' | 'compiled'>,
): boolean {
  if (!report || !isCompiled('onnx', format) || !allowed.includes('onnx')) {
    return false;
  }
  // What failed for reasons that say nothing about the version has no engine to its name.
  if (report.compiler !== COMPILER_VERSION || report.measuredWith === undefined) return true;
  return report.ok && compiled?.release !== COMPILER_VERSION;
}

function isProven(
  name: EngineName,
  report: EngineReport | undefined,
  format: ArtifactFormat,
): boolean {
  if (report?.ok !== true) return false;
  return !isCompiled(name, format) || report.compiler === COMPILER_VERSION;
}

function mayBeTried(
  name: EngineName,
  report: EngineReport | undefined,
  format: ArtifactFormat,
): boolean {
  if (isCompiled(name, format)) return false;
  return report === undefined || report.code === ENGINE_MISSING;
}

/** Whether the engine would run another form of the version than the one that was uploaded. */
function isCompiled(name: EngineName, format: ArtifactFormat): boolean {
  return name === 'onnx' && format !== 'onnx';
}

function expectedMs(report: EngineReport | undefined, rows: number): number {
  const { '1': one = Infinity, '32': many = one * 32 } = report?.msPerBatch ?? {};
  return rows < LARGE_BATCH_ROWS ? one : many;
}
