import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';

import { denseModel } from './bench-models';

const LOOP_MS = 2_000;

/** The floors of predict.bench.ts: `silent`, `in-process` and `loop`, told by the first argument. */
async function main(): Promise<void> {
  const [kind = '', units = ''] = process.argv.slice(2);
  const predict = kind === 'silent' ? null : await loadModel(units.split('-').map(Number));
  if (kind === 'loop' && predict) {
    process.send?.(await countCalls(predict, units));
    process.disconnect();
    return;
  }
  const server = createServer((request, response) => {
    void buffer(request).then(async (body) => {
      response.setHeader('Content-Type', 'application/json');
      if (!predict) {
        response.end('{}');
        return;
      }
      const { instances } = JSON.parse(body.toString()) as { instances: number[][] };
      response.end(JSON.stringify({ predictions: Array.from(await predict(instances)) }));
    });
  }).listen(0, '127.0.0.1', () => {
    process.send?.((server.address() as AddressInfo).port);
  });
}

type Predict = (rows: number[][]) => Promise<ArrayLike<number>>;

async function loadModel(units: readonly number[]): Promise<Predict> {
  setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json'))}/dist/`);
  await tf.setBackend('wasm');
  await tf.ready();
  const files = denseModel(units, 7);
  const { modelTopology, weightsManifest } = JSON.parse(String(files['model.json'])) as {
    modelTopology: object;
    weightsManifest: { weights: tf.io.WeightsManifestEntry[] }[];
  };
  const model = await layers.loadLayersModel({
    load: async () =>
      await Promise.resolve({
        modelTopology,
        weightSpecs: weightsManifest.flatMap((group) => group.weights),
        weightData: Uint8Array.from(files['weights.bin'] as Uint8Array).buffer,
      }),
  });
  return async (rows) => {
    const inputs = tf.tensor2d(rows);
    const outputs = model.predictOnBatch(inputs) as tf.Tensor;
    const values = await outputs.data();
    tf.dispose([inputs, outputs]);
    return values;
  };
}

async function countCalls(predict: Predict, units: string): Promise<number> {
  const rows = [Array.from({ length: Number(units.split('-')[0]) }, (_, i) => Math.sin(i))];
  for (let call = 0; call < 200; call++) await predict(rows);
  let calls = 0;
  const start = performance.now();
  while (performance.now() - start < LOOP_MS) {
    await predict(rows);
    calls++;
  }
  return calls / ((performance.now() - start) / 1000);
}

void main();
