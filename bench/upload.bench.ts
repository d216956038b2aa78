import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { GridFSBucket, MongoClient } from 'mongodb';

import { alternate, type Sample } from './alternate';
import { type Bench } from './bench';
import {
  denseModel,
  fixtureModel,
  mebibytes,
  type ModelFiles,
  weightsOf,
  withFreshWeights,
} from './bench-models';
import { type Result } from './report';
import { upload, uploadBody } from './service-client';

const PIECE_BYTES = 64 * 1024;
const TRAINED = 'nsfw-inception-v3';

/** How fast does an upload go, with everything that makes it safe, beside bare driver streams? */
export const benchUpload: Bench = async (service, { rounds, bigModel, slowModels }) => {
  const client = new MongoClient(service.mongoUri);
  const bucket = new GridFSBucket(client.db('bench'), {
    bucketName: 'floor',
    writeConcern: { w: 'majority' },
  });
  const measure = async (question: string, base: ModelFiles, model: string): Promise<Result> => {
    // Equal content would be answered without storing, so every run has weights of its own.
    let run = 0;
    const fresh = (): ModelFiles => withFreshWeights(base, ++run);
    const size = mebibytes(weightsOf(base).length);

    const post = async (dryRun: boolean): Promise<Sample> => {
      const body = await uploadBody(fresh());
      return await timed(size, async () => await upload(service.url, model, body, dryRun));
    };
    const stream = async (pieces: (bytes: Buffer) => Iterable<Buffer>): Promise<Sample> => {
      const bytes = weightsOf(fresh());
      return await timed(size, async () => {
        await pipeline(Readable.from(pieces(bytes)), bucket.openUploadStream(model));
      });
    };
    const standing = await alternate(
      [
        {
          name: 'upload: check, hash, compress, read back, test load',
          role: 'ours',
          run: async () => await post(false),
        },
        {
          name: 'dry run: check, hash, compress; nothing stored or loaded',
          role: 'part',
          run: async () => await post(true),
        },
        {
          name: 'driver stream, 64 KiB pieces',
          role: 'floor',
          run: async () => await stream(inPieces),
        },
        {
          name: 'driver stream, one big write',
          role: 'floor',
          run: async () => await stream((bytes) => [bytes]),
        },
      ],
      rounds,
    );
    return { question, unit: 'MiB/s', rounds, ...standing, notes: [NOTE] };
  };

  try {
    const big = denseModel(bigModel);
    const size = mebibytes(weightsOf(big).length).toFixed(0);
    const results = [
      await measure(`Upload of ${size} MiB of float32 dense weights over HTTP`, big, 'dense'),
    ];
    const trained = slowModels ? fixtureModel(TRAINED) : null;
    if (trained) {
      const question = 'Upload of a convolutional net, 22 MiB of uint8 weights, over HTTP';
      results.push(await measure(question, trained, 'inception'));
    } else if (slowModels) {
      console.log(`bench: left out ${TRAINED}, which is not here (GRIDSTOW_FIXTURES)`);
    }
    return results;
  } finally {
    await client.close();
  }
};

const NOTE =
  'The driver streams store raw bytes, majority-written, and do nothing else: no HTTP, no digest, no compression, no reading back, no test load.';

async function timed(size: number, work: () => Promise<unknown>): Promise<Sample> {
  const start = performance.now();
  await work();
  return { perSecond: size / ((performance.now() - start) / 1000) };
}

function* inPieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
  }
}
