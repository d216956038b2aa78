import { randomInt } from 'node:crypto';

import { type Collection, type Db, type MongoClient, ObjectId } from 'mongodb';

import { createClient } from '../src/mongo/connect';
import { type NamedTensors } from '../src/common/tensor';
import { valuesOf } from '../src/common/tensor-values';
import { Schema } from '../src/mongo/schema';
import { FeedbackRepository } from '../src/predictions/feedback.repository';
import { InputsStore } from '../src/predictions/inputs.store';
import { inlineContent, toInputDoc } from '../src/predictions/input-form';
import {
  type InputDoc,
  type PredictionDoc,
  type PredictionRecord,
} from '../src/predictions/prediction.doc';
import { type RecordToStore, toPredictionDoc } from '../src/predictions/prediction-form';
import { tensorInput } from '../src/predictions/prediction-input';
import {
  type PredictionFilter,
  PredictionsRepository,
} from '../src/predictions/predictions.repository';
import { RecordWriter } from '../src/predictions/record-writer.service';
import { decodeTensorFile } from '../src/predictions/tensor-file';
import { alternate, type Contender, type Sample } from './alternate';
import { type Bench } from './bench';
import { mebibytes } from './bench-models';
import { type Result } from './report';
import { type BenchService } from './start-service';

const FEATURES = 30;
const SEED_BATCH = 2_000;
const QUERIES = 200;
const PAGE = 50;
const MODELS = 5;
const VERSIONS = 8;
const LABELS = 10;
const DAY_MS = 86_400_000;
const DAYS = 30;

/** What do durable records cost beside one insert each, how large are they, how fast are they found? */
export const benchRecords: Bench = async function* (service, effort) {
  const { rounds, loadMs, manyRecords } = effort;
  const client = createClient(service.mongoUri, { appName: 'bench' });
  try {
    for (const connections of effort.connections ?? [1, 8, 64]) {
      yield await benchWrites(client, connections, loadMs, rounds);
    }
    yield await benchBytes(client, rounds);
    yield* benchMany(service, client, manyRecords, rounds);
  } finally {
    await client.close();
  }
};

interface Records {
  readonly db: Db;
  readonly writer: RecordWriter;
  readonly predictions: PredictionsRepository;
}

async function freshRecords(client: MongoClient, name: string): Promise<Records> {
  const db = client.db(name);
  await db.dropDatabase();
  const schema = new Schema();
  const inputs = new InputsStore(db, schema);
  new FeedbackRepository(db, schema);
  const predictions = new PredictionsRepository(db, schema);
  await schema.apply(db);
  return { db, writer: new RecordWriter(inputs, predictions), predictions };
}

async function benchWrites(
  client: MongoClient,
  connections: number,
  loadMs: number,
  rounds: number,
): Promise<Result> {
  const { db, writer, predictions } = await freshRecords(client, 'bench_records');
  const plain = db.collection('plain');
  const over = (
    name: string,
    role: Contender['role'],
    write: () => Promise<unknown>,
  ): Contender => ({
    name,
    role,
    run: async () => await writesPerSecond(connections, loadMs, write),
  });
  const insertOne = async (w: 'majority' | 1): Promise<unknown> =>
    await plain.insertOne(naiveRecord(), { writeConcern: { w } });
  const insertBoth = async (): Promise<unknown> => {
    const record = aRecord(predictions.newId());
    const options = { ignoreUndefined: true, writeConcern: { w: 'majority' } } as const;
    return await Promise.all([
      db
        .collection<PredictionDoc>('predictions')
        .insertOne(toPredictionDoc(record, new ObjectId(record.id)), options),
      db
        .collection<InputDoc>('inputs')
        .insertOne(toInputDoc(record.input, inlineContent(record.input)), options),
    ]);
  };
  const standing = await alternate(
    [
      over('record and input, each in a group, majority', 'ours', async () => {
        await writer.write(aRecord(predictions.newId()));
      }),
      over(
        'insertOne of one document with arrays, majority',
        'peer',
        async () => await insertOne('majority'),
      ),
      over('insertOne of one document with arrays, w:1', 'peer', async () => await insertOne(1)),
      over('insertOne of each, the same documents and indexes, majority', 'peer', insertBoth),
      {
        name: 'insertMany of 500 such documents, majority, one after the other',
        role: 'floor',
        run: async () => {
          const sample = await writesPerSecond(1, loadMs, async () => {
            await plain.insertMany(
              Array.from({ length: 500 }, () => naiveRecord()),
              { ordered: false },
            );
          });
          return { perSecond: 500 * sample.perSecond };
        },
      },
      {
        name: 'record and input in groups of 500, majority, one after the other',
        role: 'floor',
        run: async () => {
          const sample = await writesPerSecond(1, loadMs, async () => {
            await writer.writeAll(Array.from({ length: 500 }, () => aRecord(predictions.newId())));
          });
          return { perSecond: 500 * sample.perSecond };
        },
      },
    ],
    rounds,
  );
  await db.dropDatabase();
  return {
    question: `Records of predictions with ${FEATURES} numbers in and one out, ${connections} at a time`,
    unit: 'records/s',
    rounds,
    ...standing,
    notes: [
      'Ours writes two documents, the record with its indexes and the input under its digest; a document with arrays has neither index nor digest.',
    ],
  };
}

/** Each of so many writers writes one after the other. */
async function writesPerSecond(
  writers: number,
  loadMs: number,
  write: () => Promise<unknown>,
): Promise<Sample> {
  const latencies: number[] = [];
  const start = performance.now();
  const writeOn = async (): Promise<void> => {
    while (performance.now() - start < loadMs) {
      const begun = performance.now();
      await write();
      latencies.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: writers }, writeOn));
  const seconds = (performance.now() - start) / 1000;
  return { perSecond: latencies.length / seconds, details: percentiles(latencies) };
}

/** How many records of a thousand outputs a MiB of BSON holds. */
async function benchBytes(client: MongoClient, rounds: number): Promise<Result> {
  const { db, writer, predictions } = await freshRecords(client, 'bench_bytes');
  const outputs = 1_000;
  const perMebibyte = async (collections: readonly string[], records: number): Promise<Sample> => {
    let bytes = 0;
    for (const name of collections) {
      const [sum] = await db
        .collection(name)
        .aggregate<{ bytes: number }>([
          { $group: { _id: null, bytes: { $sum: { $bsonSize: '$$ROOT' } } } },
        ])
        .toArray();
      bytes += sum?.bytes ?? 0;
      await db.collection(name).deleteMany({});
    }
    return {
      perSecond: (records * 1024 ** 2) / bytes,
      details: { bytesPerRecord: bytes / records },
    };
  };
  const count = 100;
  const plainly = (name: string, made: (outputs: number) => object): Contender => ({
    name,
    role: 'peer',
    run: async () => {
      const docs = Array.from({ length: count }, () => made(outputs));
      await db.collection('plain').insertMany(docs);
      return await perMebibyte(['plain'], count);
    },
  });
  const standing = await alternate(
    [
      {
        name: 'record and input',
        role: 'ours',
        run: async () => {
          await Promise.all(
            Array.from({ length: count }, async () => {
              await writer.write(aRecord(predictions.newId(), outputs));
            }),
          );
          return await perMebibyte(['predictions', 'inputs'], count);
        },
      },
      plainly('the same fields in one document, numbers as arrays of doubles', spelledOutRecord),
      plainly('the fewest fields in one document, numbers as arrays of doubles', naiveRecord),
    ],
    rounds,
  );
  await db.dropDatabase();
  return {
    question: `Size of a record with ${FEATURES} numbers in and ${outputs} out`,
    unit: 'records/MiB of BSON',
    rounds,
    ...standing,
    notes: [
      'Before the compression of the database, which all of them get.',
      'The same fields: what GET /api/predictions/{id} answers, put into the database as it is.',
    ],
  };
}

/** In the database of the service itself, which exports them too; they are gone afterwards. */
async function* benchMany(
  service: BenchService,
  client: MongoClient,
  records: number,
  rounds: number,
): AsyncGenerator<Result> {
  const db = client.db('gridstow');
  const collection = db.collection<PredictionDoc>('predictions');
  const ids = await seed(collection, records);
  try {
    yield await benchQueries(db, ids, records, rounds);
    yield await benchExport(service, collection, records);
  } finally {
    await collection.deleteMany({ model: { $in: Array.from({ length: MODELS }, modelName) } });
  }
}

/** One pass: it is memory that is looked at, and a pass over so many is long enough. */
async function benchExport(
  service: BenchService,
  collection: Collection<PredictionDoc>,
  records: number,
): Promise<Result> {
  const exported: Contender = {
    name: 'GET /api/predictions/export, NDJSON, without inputs',
    role: 'ours',
    run: async () => {
      const { rssBytes } = await service.probe();
      const start = performance.now();
      const response = await fetch(`${service.url}/api/predictions/export?format=ndjson`);
      let lines = 0;
      for await (const piece of response.body ?? []) {
        for (const byte of piece as Uint8Array) if (byte === 0x0a) lines++;
      }
      const perSecond = lines / ((performance.now() - start) / 1000);
      if (lines < records) throw new TypeError(`the export ended after ${lines} records`);
      const { peakRssBytes, delayP99Ms } = await service.probe();
      return {
        perSecond,
        details: { rssGrowthMiB: mebibytes(peakRssBytes - rssBytes), delayP99Ms },
      };
    },
  };
  const floor: Contender = {
    name: 'the cursor of the driver, nothing made of its documents',
    role: 'floor',
    run: async () => {
      const start = performance.now();
      let read = 0;
      for await (const { version } of collection.find({}).sort({ _id: 1 }))
        read += Math.sign(version);
      return { perSecond: read / ((performance.now() - start) / 1000) };
    },
  };
  const standing = await alternate([exported, floor], 1);
  return {
    question: `Export of ${records.toLocaleString('en')} records over HTTP`,
    unit: 'records/s',
    rounds: 1,
    ...standing,
    notes: ['rssGrowthMiB is the most that the resident memory of the service grew meanwhile.'],
  };
}

function modelName(_: unknown, index: number): string {
  return `bench-${index}`;
}

async function benchQueries(
  db: Db,
  ids: readonly ObjectId[],
  records: number,
  rounds: number,
): Promise<Result> {
  const collection = db.collection<PredictionDoc>('predictions');
  const predictions = new PredictionsRepository(db, new Schema());
  const anyId = (): ObjectId => ids[randomInt(ids.length)]!;
  const anyModel = (): string => modelName(null, randomInt(MODELS));
  const anyVersion = (): number => 1 + randomInt(VERSIONS);
  const anyLabel = (): string => `label-${randomInt(LABELS)}`;
  const anyCaller = (): string => `caller-${randomInt(records)}`;
  const filters: Readonly<Record<string, () => PredictionFilter>> = {
    'no filter': () => ({}),
    model: () => ({ model: anyModel() }),
    'model, version': () => ({ model: anyModel(), version: anyVersion() }),
    'model, alias': () => ({ model: anyModel(), alias: randomInt(2) === 0 ? 'live' : 'canary' }),
    'status=failed': () => ({ status: 'failed' }),
    'model, status=failed': () => ({ model: anyModel(), status: 'failed' }),
    callerId: () => ({ callerId: anyCaller() }),
    label: () => ({ label: anyLabel() }),
    'model, label': () => ({ model: anyModel(), label: anyLabel() }),
    'status=ok': () => ({ status: 'ok' }),
    'model, version, status=ok': () => ({ model: anyModel(), version: anyVersion(), status: 'ok' }),
    'model, version, status=failed': () => ({
      model: anyModel(),
      version: anyVersion(),
      status: 'failed',
    }),
    'model, alias, status=failed': () => ({ model: anyModel(), alias: 'live', status: 'failed' }),
    'model, version, label': () => ({
      model: anyModel(),
      version: anyVersion(),
      label: anyLabel(),
    }),
    'model, callerId': () => ({ model: anyModel(), callerId: anyCaller() }),
    'model, version, alias, label, status=ok': () => ({
      model: anyModel(),
      version: anyVersion(),
      alias: 'canary',
      label: anyLabel(),
      status: 'ok',
    }),
    'since, until': () => aDay(anyId()),
    'model, since, until': () => ({ model: anyModel(), ...aDay(anyId()) }),
    'model, version, since, until': () => ({
      model: anyModel(),
      version: anyVersion(),
      ...aDay(anyId()),
    }),
    'label, since, until': () => ({ label: anyLabel(), ...aDay(anyId()) }),
    'status=failed, since, until': () => ({ status: 'failed', ...aDay(anyId()) }),
  };
  const listing = Object.entries(filters).map(([name, filter]) => ({
    name: `page of ${PAGE} in the middle: ${name}`,
    role: 'part' as const,
    run: async () =>
      await queriesPerSecond(async () => {
        const before =
          name.includes('callerId') || name.includes('since')
            ? {}
            : { before: anyId().toHexString() };
        await predictions.list(filter(), { limit: PAGE, ...before });
      }),
  }));
  const standing = await alternate(
    [
      ...listing,
      {
        name: 'one record with its input, version and feedback joined',
        role: 'part',
        run: async () =>
          await queriesPerSecond(async () => await predictions.findJoined(anyId().toHexString())),
      },
      {
        name: 'findOne by _id of the driver',
        role: 'floor',
        run: async () =>
          await queriesPerSecond(async () => await collection.findOne({ _id: anyId() })),
      },
    ],
    rounds,
  );
  return {
    question: `Queries over ${records.toLocaleString('en')} records, one at a time`,
    unit: 'queries/s',
    rounds,
    ...standing,
    notes: [],
  };
}

async function queriesPerSecond(query: () => Promise<unknown>): Promise<Sample> {
  const latencies: number[] = [];
  for (let count = 0; count < QUERIES; count++) {
    const start = performance.now();
    await query();
    latencies.push(performance.now() - start);
  }
  const seconds = latencies.reduce((sum, ms) => sum + ms, 0) / 1000;
  return { perSecond: QUERIES / seconds, details: percentiles(latencies) };
}

function percentiles(latencies: readonly number[]): Record<string, number> {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Records over the last days, of several models and versions, as the product stores them. */
async function seed(collection: Collection<PredictionDoc>, records: number): Promise<ObjectId[]> {
  const sample: ObjectId[] = [];
  const start = Date.now() - DAYS * DAY_MS;
  for (let from = 0; from < records; from += SEED_BATCH) {
    const batch = Array.from({ length: Math.min(SEED_BATCH, records - from) }, (_, offset) =>
      seeded(from + offset, start + ((from + offset) / records) * DAYS * DAY_MS),
    );
    await collection.insertMany(batch, { ordered: false, writeConcern: { w: 1 } });
    sample.push(batch[0]!._id);
  }
  return sample;
}

/** As the product would have written it at that moment. */
function seeded(index: number, atMs: number): PredictionDoc {
  const seconds = Math.floor(atMs / 1000)
    .toString(16)
    .padStart(8, '0');
  const _id = ObjectId.createFromHexString(seconds + index.toString(16).padStart(16, '0'));
  const label = `label-${randomInt(LABELS)}`;
  const isFailed = index % 100 === 0;
  const record: RecordToStore = {
    id: _id.toHexString(),
    model: modelName(null, index % MODELS),
    version: 1 + (Math.floor(index / MODELS) % VERSIONS),
    digest: `sha256:${'0'.repeat(64)}`,
    ...(index % 3 === 0 ? {} : { alias: index % 3 === 1 ? 'live' : 'canary' }),
    protocol: 'native',
    status: isFailed ? 'failed' : 'ok',
    ...(index % 4 === 0 ? { callerId: `caller-${index}` } : {}),
    tags: {},
    rows: 1,
    input: {
      digest: `sha256:${index.toString(16).padStart(64, '0')}`,
      kind: 'tensors',
      bytes: 4 * FEATURES,
      tensors: [{ name: 'x', dtype: 'float32', shape: [1, FEATURES] }],
    },
    ...(isFailed
      ? { error: { code: 'inference_failed', message: 'The model failed' } }
      : {
          outputs: {
            y: { dtype: 'float32', shape: [1, LABELS], data: Buffer.alloc(4 * LABELS) },
          },
          top: [[{ label, score: 0.9 }]],
        }),
    timings: { queueMs: 0, inferMs: 1, totalMs: 2 },
    createdAt: new Date(atMs),
  };
  return toPredictionDoc(record, _id);
}

function aDay(from: ObjectId): { readonly since: Date; readonly until: Date } {
  const since = from.getTimestamp();
  return { since, until: new Date(since.getTime() + DAY_MS) };
}

function numbers(count: number): Float32Array {
  return Float32Array.from({ length: count }, () => Math.random());
}

function aRecord(id: string, outputs = 1): PredictionRecord {
  const tensor = (count: number) => ({
    dtype: 'float32' as const,
    shape: [1, count],
    data: new Uint8Array(numbers(count).buffer),
  });
  return {
    id,
    model: 'cancer',
    version: 1,
    digest: `sha256:${'0'.repeat(64)}`,
    alias: 'live',
    protocol: 'native',
    status: 'ok',
    tags: {},
    rows: 1,
    input: tensorInput({ features: tensor(FEATURES) }),
    outputs: { scores: tensor(outputs) },
    timings: { queueMs: 0.1, inferMs: 0.3, totalMs: 0.6 },
    createdAt: new Date(),
  };
}

/** The answer for a record as a document: every field, with the numbers as arrays. */
function spelledOutRecord(outputs: number): object {
  const { input, outputs: made, ...record } = aRecord(new ObjectId().toHexString(), outputs);
  const { digest, kind, bytes, contentType, content } = input;
  const values = (tensors: NamedTensors): object =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => {
        const { dtype, shape } = tensor;
        return [name, { dtype, shape, values: [...valuesOf(tensor)] }];
      }),
    );
  const { id, ...rest } = record;
  return {
    _id: ObjectId.createFromHexString(id),
    ...rest,
    input: { digest, kind, bytes, contentType, tensors: values(decodeTensorFile(content)) },
    outputs: values(made ?? {}),
  };
}

/** What services write by hand: one document with the numbers as arrays. */
function naiveRecord(outputs = 1): object {
  return {
    model: 'cancer',
    version: 1,
    digest: `sha256:${'0'.repeat(64)}`,
    alias: 'live',
    status: 'ok',
    input: [...numbers(FEATURES)],
    output: [...numbers(outputs)],
    timings: { queueMs: 0.1, inferMs: 0.3, totalMs: 0.6 },
    createdAt: new Date(),
  };
}
