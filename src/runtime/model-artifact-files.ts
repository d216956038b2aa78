import type { io } from '@tensorflow/tfjs-core';

import { PASSED_ON } from './gridfs-io-handler';
import { ModelUnloadableError } from './runtime.errors';

const ENTRY = 'model.json';
const WEIGHTS = 'weights.bin';

/** One file of a saved model. */
export interface ModelFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * The files that stand for a model in memory; `GridfsIoHandler.load` is the inverse.
 *
 * @throws ModelUnloadableError for a topology in binary form, which no loader here reads
 */
export function toModelFiles(artifacts: io.ModelArtifacts): readonly ModelFile[] {
  const { weightData, weightSpecs = [], modelTopology } = artifacts;
  if (!modelTopology || modelTopology instanceof ArrayBuffer) {
    throw new ModelUnloadableError('Only models with a topology in JSON can be saved');
  }
  const parts = weightData === undefined ? [] : [weightData].flat();
  const weights = joinBuffers(parts);
  const json = {
    ...pick(artifacts),
    modelTopology,
    weightsManifest: [{ paths: [WEIGHTS], weights: weightSpecs }],
  };
  return [
    { path: ENTRY, bytes: new TextEncoder().encode(JSON.stringify(json)) },
    { path: WEIGHTS, bytes: new Uint8Array(weights) },
  ];
}

/** One buffer out of several, in a form that every release of TensorFlow.js takes as weights. */
export function joinBuffers(parts: readonly ArrayBuffer[]): ArrayBuffer {
  const [only] = parts;
  if (only && parts.length === 1) return only;
  const joined = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return joined.buffer;
}

/** The parts of a model that stand in `model.json` as they are. */
function pick(artifacts: io.ModelArtifacts): Partial<io.ModelArtifacts> {
  return Object.fromEntries(
    PASSED_ON.flatMap((key) => (artifacts[key] === undefined ? [] : [[key, artifacts[key]]])),
  );
}
