import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { GridFSBucket, MongoClient } from 'mongodb';
import { compress } from 'zstd-napi';

import { alternate } from './alternate';
import { denseModel, type ModelFiles, uploadModel } from './bench-models';
import { type BenchService } from './bench-service';
import { report } from './report';

const run = promisify(execFile);

/** How long from bytes in the database to a model that answers? */
export async function benchColdLoad(service: BenchService, rounds: number): Promise<void> {
  const models: readonly (readonly [string, readonly number[]])[] = [
    ['32 MiB', [1024, 4096, 1024, 10]],
    ['20 KiB', [30, 64, 32, 1]],
  ];
  const results = [];
  for (const [size, units] of models) {
    const model = `load-${units.join('-')}`;
    const files = denseModel(units, 7);
    const version = await uploadModel(service.url, model, files);
    const name = await storeStock(service.mongoUri, files);
    const versionUrl = `${service.url}/api/models/${model}/versions/${version}`;
    const figures = await alternate(
      [
        {
          name: 'service: unload, then load into an executor',
          role: 'ours',
          run: async () => {
            await post(`${versionUrl}/unload`);
            const start = performance.now();
            await post(`${versionUrl}/load`);
            return 1000 / (performance.now() - start);
          },
        },
        {
          name: 'driver stream, zstd, tf.loadLayersModel in one process',
          role: 'floor',
          run: async () => {
            const { stdout } = await run(process.execPath, [
              join(__dirname, 'stock-load.entry.js'),
              service.mongoUri,
              name,
            ]);
            return 1000 / Number(stdout.trim().split('\n').at(-1));
          },
        },
      ],
      rounds,
    );
    results.push({
      question: `Cold load of a ${size} model`,
      unit: 'loads/s',
      rounds,
      figures,
      notes: [
        'The stock load starts its clock after the process, the engine and the client are up.',
      ],
    });
  }
  report('cold-load', results);
}

async function storeStock(uri: string, files: ModelFiles): Promise<string> {
  const client = new MongoClient(uri);
  const bucket = new GridFSBucket(client.db('bench'), { bucketName: 'stock' });
  const weights = Buffer.from(files['weights.bin'] ?? '');
  const name = `stock-${weights.length}`;
  for (const [suffix, content] of [
    ['json', Buffer.from(files['model.json'] ?? '')],
    ['bin', weights],
  ] as const) {
    await new Promise<void>((resolve, reject) => {
      const upload = bucket.openUploadStream(`${name}.${suffix}`);
      upload.once('finish', resolve);
      upload.once('error', reject);
      upload.end(compress(content));
    });
  }
  await client.close();
  return name;
}

async function post(url: string): Promise<void> {
  const response = await fetch(url, { method: 'POST' });
  if (!response.ok) throw new TypeError(`${url}: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
}
