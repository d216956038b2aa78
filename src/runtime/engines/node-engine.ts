import { createRequire } from 'node:module';
import nodeUtil from 'node:util';

import { EngineUnavailableError } from '../runtime.errors';
import { type Engine } from './engine';
import { mendNativeInputs, type NativeBackend } from './native-inputs';
import { NATIVE_PACKAGE } from './native-package';
import { loadSavedModel, type OpenSavedModel } from './saved-model-program';
import { ownTemporaryFolder } from './scratch-folder';
import { TfjsEngine } from './tfjs-engine';
import { type TfjsApi } from './tfjs-api';

/**
 * The TensorFlow C library through tfjs-node: every core, an optional native package. It opens
 * SavedModels from folders that are made under `scratchDir` for the moment.
 */
export async function openNodeEngine(scratchDir = ownTemporaryFolder()): Promise<Engine> {
  restoreRemovedUtil();
  let native: NativeTfjs;
  try {
    native = createRequire(__filename)(NATIVE_PACKAGE) as typeof native;
  } catch (cause) {
    throw new EngineUnavailableError(
      `The node engine needs ${NATIVE_PACKAGE}, which does not load: ${firstLine(cause)}. npm run native installs it`,
      {},
      { cause },
    );
  }
  await native.setBackend('tensorflow');
  await native.ready();
  mendNativeInputs(native.backend());
  return new TfjsEngine(
    'node',
    `TensorFlow.js ${native.version_core} on the TensorFlow C library`,
    native,
    {
      loadSavedModel: async (version, source) =>
        await loadSavedModel(version, source, scratchDir, native.node.loadSavedModel),
    },
  );
}

/** What tfjs-node has beyond TensorFlow.js. */
type NativeTfjs = TfjsApi & {
  readonly node: { readonly loadSavedModel: OpenSavedModel };
  readonly backend: () => NativeBackend;
};

/** tfjs-node still calls two functions that Node 23 took away. */
function restoreRemovedUtil(): void {
  const util = nodeUtil as unknown as Record<string, unknown>;
  util['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  util['isArray'] ??= Array.isArray;
}

function firstLine(cause: unknown): string {
  return String(cause instanceof Error ? cause.message : cause).split('\n', 1)[0] ?? '';
}
