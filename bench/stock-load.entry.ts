import { dirname } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { GridFSBucket, MongoClient } from 'mongodb';
import { decompress } from 'zstd-napi';

/** Loads a model the way a program without a store would, and prints the milliseconds it took. */
async function main(): Promise<void> {
  const [uri = '', name = ''] = process.argv.slice(2);
  setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json'))}/dist/`);
  await tf.setBackend('wasm');
  await tf.ready();
  const client = await new MongoClient(uri).connect();
  const bucket = new GridFSBucket(client.db('bench'), { bucketName: 'stock' });

  const start = performance.now();
  const read = async (suffix: string): Promise<Buffer> =>
    decompress(await buffer(bucket.openDownloadStreamByName(`${name}.${suffix}`)));
  const { modelTopology, weightsManifest } = JSON.parse((await read('json')).toString()) as {
    modelTopology: object;
    weightsManifest: { weights: tf.io.WeightsManifestEntry[] }[];
  };
  const weights = await read('bin');
  await layers.loadLayersModel({
    load: async () =>
      await Promise.resolve({
        modelTopology,
        weightSpecs: weightsManifest.flatMap((group) => group.weights),
        weightData: Uint8Array.from(weights).buffer,
      }),
  });
  console.log(performance.now() - start);
  await client.close();
}

void main();
