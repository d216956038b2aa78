import type { Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { type TfjsApi } from './tfjs-api';

/** Runs tensor work after which every tensor that it made is gone, whether it succeeded or not. */
export async function inScope<T>(tf: TfjsApi, work: () => Promise<T>): Promise<T> {
  const engine = tf.engine();
  engine.startScope('gridstow');
  try {
    return await work();
  } finally {
    engine.endScope();
  }
}

/** What a load made, and how to be rid of all of it. */
export interface Loaded<T> {
  readonly loaded: T;
  /** Disposes what the model's own `dispose` forgets, such as the weights of a model in a model. */
  readonly disposeRest: () => void;
}

/**
 * Runs a load: what it made stays when it succeeds, and is gone when it fails.
 *
 * The library itself leaves tensors and variables behind on each failure.
 */
export async function loadInScope<T>(tf: TfjsApi, load: () => Promise<T>): Promise<Loaded<T>> {
  const engine = tf.engine();
  const namesBefore = new Set(Object.keys(engine.registeredVariables));
  // Variables outlive scopes, so a scope does not know them.
  const newVariables = (): TfTensor[] =>
    Object.entries(engine.registeredVariables).flatMap(([name, variable]) =>
      namesBefore.has(name) ? [] : [variable],
    );
  return await inScope(tf, async () => {
    try {
      const loaded = await load();
      const made = [...engine.state.activeScope.track, ...newVariables()];
      for (const tensor of made) engine.keep(tensor);
      return {
        loaded,
        disposeRest: () => {
          disposeAll(made);
        },
      };
    } catch (error) {
      disposeAll(newVariables());
      throw error;
    }
  });
}

function disposeAll(tensors: readonly TfTensor[]): void {
  for (const tensor of tensors) {
    if (!tensor.isDisposed) tensor.dispose();
  }
}
