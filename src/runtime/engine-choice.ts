import { type EngineChoice } from '../config/config';
import { type EngineReports } from '../models/version';
import { ENGINE_NAMES, type EngineName } from './engines/engine';
import { EngineUnavailableError, ModelUnloadableError } from './runtime.errors';

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

/**
 * The engine for a version: the first allowed one that ran it, else the first that was not tried.
 *
 * @throws ModelUnloadableError when every allowed engine was tried and failed
 */
export function engineFor(allowed: readonly EngineName[], reports: EngineReports): EngineName {
  const engine =
    allowed.find((name) => reports[name]?.ok === true) ??
    allowed.find((name) => reports[name] === undefined);
  if (engine) return engine;
  throw new ModelUnloadableError('No engine that is allowed here can run the version', {
    engines: Object.fromEntries(allowed.map((name) => [name, reports[name]?.reason])),
  });
}
