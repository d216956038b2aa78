import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { GridFSBucket, MongoClient } from 'mongodb';
import { compress } from 'zstd-napi';

import { alternate, type Sample } from './alternate';
import { type Bench } from './bench';
import { denseModel, mebibytes, type ModelFiles, weightsOf } from './bench-models';
import { type Result } from './report';
import { send, setRecording, upload, uploadBody } from './service-client';

/** What the stock loader answers: how long each step took. */
export interface StockTimes {
  readonly loadMs: number;
  readonly firstMs: number;
}

/** How long does it take from bytes in the database to a first prediction? */
export const benchColdLoad: Bench = async (service, { rounds, bigModel }) => {
  const stock = fork(join(__dirname, 'stock-load.entry.js'), [service.mongoUri]);
  await once(stock, 'message');
  const results: Result[] = [];
  try {
    for (const units of [bigModel, [30, 64, 32, 1]]) {
      const files = denseModel(units);
      const name = `cold-${units.join('-')}`;
      const version = await upload(service.url, name, await uploadBody(files));
      await setRecording(service.url, name, 'off');
      await storeStock(service.mongoUri, name, files);
      const versionUrl = `${service.url}/api/models/${name}/versions/${version}`;
      const row = Array.from({ length: units[0]! }, (_, index) => Math.sin(index));
      const standing = await alternate(
        [
          {
            name: 'service: read, verify, load, warm up; first answer (HTTP)',
            role: 'ours',
            run: async () => await coldLoad(versionUrl, row),
          },
          {
            name: 'driver streams, zstd, tf.loadLayersModel, one process',
            role: 'floor',
            run: async () => await stockLoad(stock, name, row),
          },
        ],
        rounds,
      );
      const size = weightsOf(files).length;
      const shown =
        size > 1e6 ? `${mebibytes(size).toFixed(0)} MiB` : `${Math.round(size / 1024)} KiB`;
      results.push({
        question: `From bytes in the database to the first prediction, ${shown} of weights`,
        unit: 'loads/s',
        rounds,
        ...standing,
        notes: ['Both in processes that are up, with engine and database client started.'],
      });
    }
  } finally {
    stock.kill('SIGTERM');
  }
  return results;
};

async function coldLoad(versionUrl: string, row: readonly number[]): Promise<Sample> {
  await send('POST', `${versionUrl}/unload`);
  const start = performance.now();
  await send('POST', `${versionUrl}/load`);
  const loaded = performance.now();
  await send('POST', `${versionUrl}/predict`, { instances: [row] });
  return sample({ loadMs: loaded - start, firstMs: performance.now() - loaded });
}

async function stockLoad(
  stock: ChildProcess,
  name: string,
  row: readonly number[],
): Promise<Sample> {
  stock.send({ name, row });
  const [times] = (await once(stock, 'message')) as [StockTimes];
  return sample(times);
}

function sample({ loadMs, firstMs }: StockTimes): Sample {
  return { perSecond: 1000 / (loadMs + firstMs), details: { loadMs, firstMs } };
}

/** The files as a program without a store would keep them: compressed whole, in its own bucket. */
async function storeStock(uri: string, name: string, files: ModelFiles): Promise<void> {
  const client = new MongoClient(uri);
  const bucket = new GridFSBucket(client.db('bench'), { bucketName: 'stock' });
  for (const [path, content] of Object.entries(files)) {
    const stored = bucket.openUploadStream(`${name}/${path}`);
    stored.end(compress(content));
    await once(stored, 'finish');
  }
  await client.close();
}
