import type { io } from '@tensorflow/tfjs-core';
import { type Db, type MongoClient } from 'mongodb';

import { type ModelRef, parseModelUrl } from '../common/model-ref';
import { findCallerTfjs, type RouterRegistry } from './engines/caller-tfjs';
import { type LibraryOptions, ModelLibrary, type ModelTarget } from './model-library';
import { EngineUnavailableError } from './runtime.errors';

export type { LibraryOptions, SavedVersion } from './model-library';

export interface RegisterOptions extends LibraryOptions {
  /** The database of the store; `gridstow` by default. */
  readonly db?: string;
  /** The TensorFlow.js to register with; by default every copy that the program can load. */
  readonly tf?: RouterRegistry;
}

const SCHEME = 'gridfs:';

/**
 * A handler that loads one version from the store, or saves a model as a new one, with the
 * caller's own TensorFlow.js: `tf.loadLayersModel(gridfs(db, 'digits@live'))`.
 *
 * `ref` is a name (its alias `live`), `name@alias` or `name/version`, as text or as a URL such as
 * `gridfs://digits/3`. Saving to `name@alias` moves the alias to the new version as well. The
 * database has to be opened by a driver of the same major version as the store's (mongodb 7).
 */
export function gridfs(db: Db, ref: string, options: LibraryOptions = {}): Required<io.IOHandler> {
  return handlerFor(new ModelLibrary(db), parseTarget(ref), options);
}

/**
 * Makes `gridfs://` URLs work in the caller's own TensorFlow.js: `tf.loadLayersModel`,
 * `tf.loadGraphModel` and `model.save`.
 *
 * Calling it again replaces the client and the options. Every URL with the scheme is taken, wrong
 * ones fail with a sentence of ours: TensorFlow.js would try to fetch them over HTTP.
 *
 * @throws EngineUnavailableError when the program has no TensorFlow.js; then pass it as `tf`
 */
export function registerGridFS(client: MongoClient, options: RegisterOptions = {}): void {
  const { db = 'gridstow', tf, ...rest } = options;
  const registries = tf ? [tf] : findCallerTfjs();
  if (registries.length === 0) {
    throw new EngineUnavailableError(
      'No TensorFlow.js was found from the main script; pass yours: registerGridFS(client, { tf })',
    );
  }
  const binding: Binding = { library: new ModelLibrary(client.db(db)), options: rest };
  for (const registry of registries) bind(registry, binding);
}

interface Binding {
  readonly library: ModelLibrary;
  readonly options: LibraryOptions;
}

/**
 * What each registry's one router answers with. Two routers for a URL are an error there and none
 * can be taken away again, so this outlives even a second copy of this module.
 */
const BINDINGS = Symbol.for('gridstow.io.bindings');

function bind(
  { io: { registerLoadRouter, registerSaveRouter } }: RouterRegistry,
  binding: Binding,
): void {
  const global = globalThis as unknown as Record<symbol, WeakMap<object, Binding> | undefined>;
  const bindings = (global[BINDINGS] ??= new WeakMap());
  const isNew = !bindings.has(registerLoadRouter);
  bindings.set(registerLoadRouter, binding);
  if (!isNew) return;
  const router = (url: unknown): io.IOHandler | null => {
    const current = bindings.get(registerLoadRouter);
    if (typeof url !== 'string' || !url.startsWith(SCHEME) || !current) return null;
    return lazyHandler(current, url);
  };
  // The library's type leaves out that a router may decline.
  registerLoadRouter(router as (url: string | string[]) => io.IOHandler);
  registerSaveRouter(router as (url: string | string[]) => io.IOHandler);
}

/** Reads the URL only when it is used, so that a wrong one fails the load and not the lookup. */
function lazyHandler({ library, options }: Binding, url: string): Required<io.IOHandler> {
  const handler = (): Required<io.IOHandler> => handlerFor(library, parseTarget(url), options);
  return {
    load: async () => await handler().load(),
    save: async (artifacts) => await handler().save(artifacts),
  };
}

function handlerFor(
  library: ModelLibrary,
  target: ModelTarget,
  options: LibraryOptions,
): { load: () => Promise<io.ModelArtifacts>; save: io.SaveHandler } {
  return {
    load: async () => await library.load(target.ref),
    save: async (artifacts) => await library.save(target, artifacts, options),
  };
}

function parseTarget(text: string): ModelTarget {
  const url = /^[a-z]+:/.test(text) ? text : `${SCHEME}//${text}`;
  const ref: ModelRef = parseModelUrl(url);
  return { ref, namesAlias: text.includes('@') };
}
