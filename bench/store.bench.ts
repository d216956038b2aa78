import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

import { GridFSBucket, MongoClient } from 'mongodb';
import { compress, decompress } from 'zstd-napi';

import { type ArtifactRef } from '../src/artifacts/artifact';
import { ArtifactStore } from '../src/artifacts/artifact.store';
import { declareBlobs } from '../src/artifacts/bucket-schema';
import { mintUploadId } from '../src/artifacts/blob.store';
import { PooledCodec } from '../src/artifacts/codec/pooled.codec';
import { createClient } from '../src/mongo/connect';
import { Schema } from '../src/mongo/schema';
import { alternate, type Sample } from './alternate';
import { type Bench } from './bench';
import {
  denseModel,
  mebibytes,
  type ModelFiles,
  weightsOf,
  withFreshWeights,
} from './bench-models';
import { type LoadTimes, type LoadWay } from './load-times';
import { type Result } from './report';
import { upload, uploadBody } from './service-client';

const PIECE_BYTES = 64 * 1024;
const PATH = 'weights.bin';

/** How fast are the bytes themselves written, read and loaded, beside the driver's own streams? */
export const benchStore: Bench = async (service, { rounds, bigModel, loadedModel }) => {
  const results = await benchBytes(service.mongoUri, denseModel(bigModel), rounds);
  const files = denseModel(loadedModel);
  const size = mebibytes(weightsOf(files).length);
  const load = await benchLoad(service.url, service.mongoUri, files, rounds);
  const question = `From ${size.toFixed(0)} MiB of weights in the database to a ready model, in one process`;
  return [...results, { question, unit: 'loads/s', rounds, ...load, notes: LOAD_NOTES }];
};

const LOAD_NOTES = [
  'Both in fresh processes with engine and database client started; the stock one reads GridFS files with driver streams, unpacks zstd and hands the bytes to tf.loadLayersModel.',
  'peakMiB is how far the resident memory grew above what it was before, weights and their copies in the engine included.',
];

async function benchBytes(uri: string, base: ModelFiles, rounds: number): Promise<Result[]> {
  const client = createClient(uri, { appName: 'bench' });
  const db = client.db('bench_store');
  const schema = new Schema();
  declareBlobs(schema);
  await schema.apply(db);
  const codec = new PooledCodec(Math.max(1, availableParallelism() - 1));
  const store = new ArtifactStore(db, codec);
  const bucket = new GridFSBucket(db, { bucketName: 'floor', writeConcern: { w: 'majority' } });
  let run = 0;
  const fresh = (): Buffer => weightsOf(withFreshWeights(base, ++run));
  const size = mebibytes(weightsOf(base).length);
  const rate = async (work: () => Promise<unknown>): Promise<Sample> => {
    const start = performance.now();
    await work();
    return { perSecond: size / ((performance.now() - start) / 1000) };
  };
  const write = async (raw: Buffer): Promise<ArtifactRef> => {
    const writer = store.writer({
      claims: {
        uploadId: mintUploadId(),
        open: async () => {
          await Promise.resolve();
        },
        use: async () => {
          await Promise.resolve();
        },
        // What publishing does before it relies on what was written.
        assertHeld: async () => {
          await db.collection('marks').insertOne({});
        },
      },
      base: async () => await Promise.resolve([]),
    });
    writer.plan([planOf(base)]);
    await writer.write(PATH, Readable.from(inPieces(raw)));
    const ref = (await writer.finish()).get(PATH)!;
    await db.collection('marks').insertOne({});
    return ref;
  };
  try {
    const sample = await write(fresh());
    const stored = weightsOf(base).subarray(0, sample.storedBytes);
    const written = await alternate(
      [
        {
          name: 'store: hash, look up, encode, write in parallel',
          role: 'ours',
          run: async () => {
            const raw = fresh();
            return await rate(async () => await write(raw));
          },
        },
        {
          name: 'driver stream of as many bytes as we store, 64 KiB pieces',
          role: 'floor',
          run: async () =>
            await rate(async () => {
              await pipeline(Readable.from(inPieces(stored)), bucket.openUploadStream('floor'));
            }),
        },
        {
          name: 'driver stream of as many bytes as we store, one big write',
          role: 'floor',
          run: async () =>
            await rate(async () => {
              await pipeline(Readable.from([stored]), bucket.openUploadStream('floor'));
            }),
        },
        {
          name: 'zstd in one call, then a driver stream in 64 KiB pieces',
          role: 'peer',
          run: async () => {
            const raw = fresh();
            return await rate(async () => {
              await pipeline(
                Readable.from(inPieces(compress(raw))),
                bucket.openUploadStream('peer'),
              );
            });
          },
        },
      ],
      rounds,
    );
    await pipeline(Readable.from([stored]), bucket.openUploadStream('stored'));
    const packed = compress(weightsOf(base));
    await pipeline(Readable.from([packed]), bucket.openUploadStream('packed'));
    const read = await alternate(
      [
        {
          name: 'store: read, decode, compare the digest',
          role: 'ours',
          run: async () => await rate(async () => await store.read(sample)),
        },
        {
          name: 'driver stream of as many bytes as we store, nothing else',
          role: 'floor',
          run: async () =>
            await rate(async () => await buffer(bucket.openDownloadStreamByName('stored'))),
        },
        {
          name: 'driver stream, then zstd in one call',
          role: 'peer',
          run: async () =>
            await rate(async () =>
              decompress(await buffer(bucket.openDownloadStreamByName('packed'))),
            ),
        },
      ],
      rounds,
    );
    const raw = `${size.toFixed(0)} MiB of float32 weights`;
    const note = `MiB are of raw weights for all; the store holds ${mebibytes(sample.storedBytes).toFixed(1)} MiB for them. Writes end when a majority has them. Bench, threads and mongod share the cores.`;
    return [
      { question: `Writing ${raw}`, unit: 'MiB/s', rounds, ...written, notes: [note] },
      { question: `Reading ${raw}`, unit: 'MiB/s', rounds, ...read, notes: [note] },
    ];
  } finally {
    await codec.close();
    await db.dropDatabase();
    await client.close();
  }
}

async function benchLoad(
  url: string,
  uri: string,
  files: ModelFiles,
  rounds: number,
): Promise<Awaited<ReturnType<typeof alternate>>> {
  const name = 'store-load';
  const body = await uploadBody(files);
  // The connection of minutes ago is about to end, or has: better under this than under the upload.
  await fetch(`${url}/health/live`).catch(() => undefined);
  await upload(url, name, body);
  const client = new MongoClient(uri);
  const bucket = new GridFSBucket(client.db('bench'), { bucketName: 'stock' });
  for (const [path, content] of Object.entries(files)) {
    await pipeline(Readable.from([compress(content)]), bucket.openUploadStream(`${name}/${path}`));
  }
  await client.close();
  return await alternate(
    [
      {
        name: 'as an executor loads: read, decode, digests, weight by weight',
        role: 'ours',
        run: async () => await inFreshProcess('executor', uri, name),
      },
      {
        name: 'gridfs() of gridstow/io: read, decode, digests, tf.loadLayersModel',
        role: 'ours',
        run: async () => await inFreshProcess('library', uri, name),
      },
      {
        name: 'driver streams, zstd, tf.loadLayersModel',
        role: 'floor',
        run: async () => await inFreshProcess('stock', uri, name),
      },
    ],
    rounds,
  );
}

async function inFreshProcess(how: LoadWay, uri: string, name: string): Promise<Sample> {
  const child: ChildProcess = fork(join(__dirname, 'load.entry.js'), [how, uri, name]);
  const [{ loadMs, peakBytes }] = (await once(child, 'message')) as [LoadTimes];
  await once(child, 'exit');
  return { perSecond: 1000 / loadMs, details: { loadMs, peakMiB: mebibytes(peakBytes) } };
}

/** Where the tensors stand, as the manifest of the model says. */
function planOf(files: ModelFiles): Parameters<ReturnType<ArtifactStore['writer']>['plan']>[0][0] {
  const { weightsManifest } = JSON.parse(files['model.json']!.toString()) as {
    weightsManifest: { weights: { name: string; shape: number[]; dtype: 'float32' }[] }[];
  };
  const tensors = weightsManifest[0]!.weights.map(({ name, shape, dtype }) => ({
    name,
    dtype,
    bytes: 4 * shape.reduce((product, dimension) => product * dimension, 1),
  }));
  return { paths: [PATH], tensors };
}

function* inPieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
  }
}
