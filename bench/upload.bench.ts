import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { GridFSBucket, MongoClient } from 'mongodb';

import { alternate } from './alternate';
import { denseModel, type ModelFiles, sizeOf, uploadModel } from './bench-models';
import { type BenchService } from './bench-service';
import { report } from './report';

const MIB = 1024 * 1024;
/** About 32 MiB of float32 weights. */
const UNITS = [1024, 4096, 1024, 10];
const DRIVER_PIECE = 64 * 1024;

/** How fast does an upload go, with everything that makes it safe, against bare driver streams? */
export async function benchUpload(service: BenchService, rounds: number): Promise<void> {
  const client = new MongoClient(service.mongoUri, { w: 'majority' });
  const bucket = new GridFSBucket(client.db('bench'), { bucketName: 'floor' });
  // Every upload has bytes of its own: equal content would be answered without storing.
  let seed = 1;
  const fresh = (): ModelFiles => denseModel(UNITS, seed++);

  const timed = async (work: (files: ModelFiles) => Promise<unknown>): Promise<number> => {
    const files = fresh();
    const start = performance.now();
    await work(files);
    return sizeOf(files) / MIB / ((performance.now() - start) / 1000);
  };
  const figures = await alternate(
    [
      {
        name: 'upload: check, hash, compress, read back, test load',
        role: 'ours',
        run: async () =>
          await timed(async (files) => await uploadModel(service.url, 'upload-bench', files)),
      },
      {
        name: 'dry run: check, hash, compress, store nothing',
        role: 'ours',
        run: async () =>
          await timed(async (files) => {
            await dryRun(service.url, files);
          }),
      },
      {
        name: 'driver stream, 64 KiB pieces',
        role: 'floor',
        run: async () =>
          await timed(async (files) => {
            const upload = bucket.openUploadStream('weights');
            await pipeline(Readable.from(inPieces(bytesOf(files))), upload);
          }),
      },
      {
        name: 'driver stream, one buffer',
        role: 'floor',
        run: async () =>
          await timed(async (files) => {
            const upload = bucket.openUploadStream('weights');
            await pipeline(Readable.from([bytesOf(files)]), upload);
          }),
      },
    ],
    rounds,
  );
  await client.db('bench').dropDatabase();
  await client.close();
  report('upload', [
    {
      question: 'Upload of a 32 MiB float32 model over HTTP',
      unit: 'MiB/s',
      rounds,
      figures,
      notes: [
        'The driver streams store bytes and nothing else: no HTTP, no compression, no reading back, no test load.',
      ],
    },
  ]);
}

async function dryRun(url: string, files: ModelFiles): Promise<void> {
  const form = new FormData();
  for (const [path, content] of Object.entries(files))
    form.append('file', new Blob([content]), path);
  const response = await fetch(`${url}/api/models/upload-bench/versions?dryRun=true`, {
    method: 'POST',
    body: form,
  });
  if (response.status !== 200) throw new TypeError(`dry run: ${response.status}`);
  await response.arrayBuffer();
}

function bytesOf(files: ModelFiles): Buffer {
  return Buffer.from(files['weights.bin'] ?? '');
}

function* inPieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += DRIVER_PIECE) {
    yield bytes.subarray(at, at + DRIVER_PIECE);
  }
}
