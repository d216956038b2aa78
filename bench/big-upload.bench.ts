import { request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { GridFSBucket, MongoClient } from 'mongodb';

import { alternate, type Sample } from './alternate';
import { type Bench } from './bench';
import { denseModel, mebibytes, weightsOf } from './bench-models';
import { type BenchService } from './start-service';

const PIECE_BYTES = 1024 * 1024;

/** What does an upload that is larger than memory should be cost the process that takes it? */
export const benchBigUpload: Bench = async (service, { rounds, hugeBytes }) => {
  const client = new MongoClient(service.mongoUri);
  const bucket = new GridFSBucket(client.db('bench'), {
    bucketName: 'floor',
    writeConcern: { w: 'majority' },
  });
  const pattern = weightsOf(denseModel([512, 512])).subarray(0, PIECE_BYTES);
  const size = mebibytes(hugeBytes);
  let run = 0;
  try {
    const { rssBytes: freshBytes } = await service.probe();
    const standing = await alternate(
      [
        {
          name: 'upload as an opaque file: hash, compress, store, read back',
          role: 'ours',
          run: async () =>
            await watched(service, size, freshBytes, numbers(pattern, hugeBytes, ++run)),
        },
        {
          name: 'driver stream in this process, 1 MiB pieces',
          role: 'floor',
          run: async () => {
            const pieces = numbers(pattern, hugeBytes, ++run);
            const start = performance.now();
            const id = bucket.openUploadStream('huge');
            await pipeline(Readable.from(pieces), id);
            const perSecond = size / ((performance.now() - start) / 1000);
            await bucket.delete(id.id);
            return { perSecond };
          },
        },
      ],
      rounds,
    );
    const notes = [
      'rssGrowth is the most that the resident memory of the service grew during the upload, rssAboveFresh what that is above the memory before the first upload, of which some is kept for the next; delay is that of its event loop; executors and mongod are processes of their own.',
      'Client, service and mongod share the cores.',
    ];
    const question = `Upload of ${(size / 1024).toFixed(2)} GiB of float32 weights: what it costs the service`;
    return [{ question, unit: 'MiB/s', rounds, ...standing, notes }];
  } finally {
    await client.close();
  }
};

async function watched(
  service: BenchService,
  size: number,
  freshBytes: number,
  pieces: AsyncIterable<Buffer>,
): Promise<Sample> {
  const { rssBytes } = await service.probe();
  const start = performance.now();
  const version = await post(
    `${service.url}/api/models/huge/versions?filename=weights.bin&metadata=${encodeURIComponent('{"format":"opaque"}')}`,
    pieces,
  );
  const perSecond = size / ((performance.now() - start) / 1000);
  const { peakRssBytes, delayP99Ms, delayMaxMs } = await service.probe();
  // Room for the next one; the first is what live points at and stays.
  await fetch(`${service.url}/api/models/huge/versions/${version - 1}`, { method: 'DELETE' });
  return {
    perSecond,
    details: {
      rssGrowthMiB: mebibytes(peakRssBytes - rssBytes),
      rssAboveFreshMiB: mebibytes(peakRssBytes - freshBytes),
      delayP99Ms,
      delayMaxMs,
    },
  };
}

/** Not `fetch`, whose streams would be what is measured. */
async function post(url: string, pieces: AsyncIterable<Buffer>): Promise<number> {
  return await new Promise((resolve, reject) => {
    const sending = request(
      url,
      { method: 'POST', headers: { 'Content-Type': 'application/octet-stream' } },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece: string) => (text += piece));
        response.on('end', () => {
          if (response.statusCode === 201)
            resolve((JSON.parse(text) as { version: number }).version);
          else reject(new TypeError(`upload: ${response.statusCode ?? 0} ${text}`));
        });
      },
    );
    pipeline(Readable.from(pieces), sending).catch(reject);
  });
}

/** Weights of any length out of a few: one number in each 256 bytes is another in every piece. */
async function* numbers(pattern: Buffer, bytes: number, run: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes; at += pattern.length) {
    const piece = Buffer.from(pattern);
    for (let offset = 0; offset < piece.length; offset += 256) {
      piece.writeUInt16LE((at / pattern.length + offset / 256 + run * 9973) & 0xffff, offset);
    }
    yield piece.subarray(0, bytes - at);
    await Promise.resolve();
  }
}
