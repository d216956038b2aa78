import { dirname } from 'node:path';

import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';

/** Rows as they come out of JSON, nested as deep as the model's input. */
export type Rows = readonly unknown[];

/** A layers model in this very process: what one gets without a service. */
export interface PlainModel {
  predict(rows: Rows): Promise<ArrayLike<number>>;
  dispose(): void;
}

export async function startEngine(): Promise<string> {
  setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json'))}/dist/`);
  await tf.setBackend('wasm');
  await tf.ready();
  return tf.getBackend();
}

export async function loadPlainModel(modelJson: Buffer, weights: Buffer): Promise<PlainModel> {
  const { modelTopology, weightsManifest } = JSON.parse(modelJson.toString()) as {
    modelTopology: object;
    weightsManifest: { weights: tf.io.WeightsManifestEntry[] }[];
  };
  const artifacts = {
    modelTopology,
    weightSpecs: weightsManifest.flatMap((group) => group.weights),
    // An exact buffer: one that is a window of a pool would be read from its start.
    weightData: Uint8Array.from(weights).buffer,
  };
  const model = await layers.loadLayersModel({
    load: async () => await Promise.resolve(artifacts),
  });
  return {
    predict: async (rows) => {
      const inputs = tf.tensor(rows as tf.TensorLike);
      const outputs = model.predictOnBatch(inputs) as tf.Tensor;
      const values = await outputs.data();
      tf.dispose([inputs, outputs]);
      return values;
    },
    dispose: () => {
      model.dispose();
    },
  };
}
