import { buffer } from 'node:stream/consumers';

import { GridFSBucket, MongoClient } from 'mongodb';
import { decompress } from 'zstd-napi';

import { type StockTimes } from './cold-load.bench';
import { loadPlainModel, startEngine } from './plain-model';

/** Loads models the way a program without a store would: one request, one answer with its times. */
async function main(): Promise<void> {
  // However the bench ends, this ends with it.
  process.once('disconnect', () => process.exit());
  const client = await new MongoClient(process.argv[2] ?? '').connect();
  const bucket = new GridFSBucket(client.db('bench'), { bucketName: 'stock' });
  const read = async (path: string): Promise<Buffer> =>
    decompress(await buffer(bucket.openDownloadStreamByName(path)));

  const load = async ({ name, row }: { name: string; row: number[] }): Promise<StockTimes> => {
    const start = performance.now();
    const model = await loadPlainModel(
      await read(`${name}/model.json`),
      await read(`${name}/weights.bin`),
    );
    const loaded = performance.now();
    await model.predict([row]);
    const times = { loadMs: loaded - start, firstMs: performance.now() - loaded };
    model.dispose();
    return times;
  };
  process.on('message', (request: { name: string; row: number[] }) => {
    void load(request).then((times) => process.send?.(times));
  });
  process.send?.(await startEngine());
}

void main();
