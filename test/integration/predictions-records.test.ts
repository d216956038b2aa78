import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';

import {
  BSON,
  type CommandStartedEvent,
  type Db,
  type Document,
  MongoClient,
  MongoNetworkError,
  ObjectId,
} from 'mongodb';
import { pino } from 'pino';

import { type Config } from '../../src/config/config';
import { createClient } from '../../src/mongo/connect';
import { insertGroup } from '../../src/mongo/insert-group';
import { Schema } from '../../src/mongo/schema';
import { DurableRecorder } from '../../src/predictions/durable-recorder.service';
import { INLINE_BYTES, InputsStore } from '../../src/predictions/inputs.store';
import { type PredictionInput } from '../../src/predictions/prediction.doc';
import { tensorInput } from '../../src/predictions/prediction-input';
import { PredictionRecords } from '../../src/predictions/prediction-records.service';
import { PredictionsRepository } from '../../src/predictions/predictions.repository';
import { QueuedRecorder } from '../../src/predictions/queued-recorder.service';
import { RecordWriter } from '../../src/predictions/record-writer.service';
import { RecordingCounts } from '../../src/predictions/recording-counts';
import { RecordingJournal } from '../../src/predictions/recording-journal.store';
import { decodeTensorFile } from '../../src/predictions/tensor-file';
import { type NamedTensors } from '../../src/common/tensor';
import { type FreshDatabase, freshDatabase, testMongoUri } from '../support/database';
import { whileFailing } from '../support/fail-command';
import { aRecord, aVector, inputId } from '../support/prediction-records';

const admin = createClient(testMongoUri(), { appName: 'arming' });
let database: FreshDatabase;
let inputs: InputsStore;
let predictions: PredictionsRepository;
let writer: RecordWriter;
let counts: RecordingCounts;
let recorder: DurableRecorder;
let records: PredictionRecords;

beforeAll(async () => {
  database = freshDatabase();
  const schema = new Schema();
  inputs = new InputsStore(database.db, schema);
  predictions = new PredictionsRepository(database.db, schema);
  writer = new RecordWriter(inputs, predictions);
  counts = new RecordingCounts();
  recorder = new DurableRecorder(writer, counts);
  records = new PredictionRecords(predictions, inputs);
  await schema.apply(database.db);
});

afterAll(async () => {
  await admin.close();
  await database.close();
});

const count = async (collection: string, filter: object = {}): Promise<number> =>
  await database.db.collection(collection).countDocuments(filter);

/** An input that no other test has. */
function freshInput(bytes = 64): PredictionInput {
  return tensorInput({
    x: { dtype: 'float32', shape: [1, bytes / 4], data: randomBytes(bytes) },
  });
}

describe('InputsStore', () => {
  it('stores equal inputs once, also when they come at the same time', async () => {
    const input = freshInput();

    await Promise.all(
      Array.from({ length: 8 }, async () => {
        await inputs.save(input);
      }),
    );
    await new InputsStore(database.db, new Schema()).save(input);

    expect(await count('inputs', { _id: inputId(input.digest) })).toBe(1);
    expect(await inputs.read(input.digest)).toEqual(input.content);
  });

  it.each([0, 4, 3 * INLINE_BYTES])(
    'gives back the exact bytes, %d over what stands inline (78)',
    async (over) => {
      const input = freshInput(INLINE_BYTES + over);

      await Promise.all([inputs.save(input), inputs.save(input)]);

      expect((await inputs.read(input.digest)).equals(input.content)).toBe(true);
      const files = await database.db
        .collection('inputs.files')
        .find({ filename: input.digest })
        .toArray();
      expect(files).toHaveLength(1);
      const chunks = await database.db.collection('inputs.chunks').distinct('files_id');
      expect(chunks).toHaveLength(await count('inputs.files'));
    },
  );

  it('notices damaged bytes', async () => {
    const input = freshInput();
    await inputs.save(input);
    const doc = await database.db.collection('inputs').findOne({ _id: inputId(input.digest) });
    const damaged = Buffer.from((doc!['content'] as { buffer: Buffer }).buffer);
    damaged[damaged.length - 1]! ^= 1;
    await database.db
      .collection('inputs')
      .updateOne({ _id: inputId(input.digest) }, { $set: { content: damaged } });

    await expect(inputs.read(input.digest)).rejects.toMatchObject({ code: 'input_corrupt' });
  });

  it('says when an input is not there', async () => {
    await expect(inputs.read(freshInput().digest)).rejects.toMatchObject({ code: 'input_missing' });
  });
});

describe('DurableRecorder', () => {
  it('keeps a record with its input and outputs, bit for bit', async () => {
    const id = predictions.newId();
    const input = tensorInput(aVector(1.5, NaN, -0));
    const record = aRecord(id, {
      callerId: 'mine',
      tags: { 'a.b': '$c' },
      outputs: aVector(0.1, Infinity),
      top: [[{ label: 'b', score: 0.75 }]],
      input,
    });

    await recorder.record(record);

    expect(await records.get(id)).toEqual({
      predictionId: id,
      model: 'digits',
      version: 1,
      digest: record.digest,
      alias: 'live',
      protocol: 'native',
      status: 'ok',
      callerId: 'mine',
      tags: { 'a.b': '$c' },
      rows: 1,
      input: {
        digest: input.digest,
        kind: 'tensors',
        bytes: input.bytes,
        contentType: 'application/octet-stream',
        tensors: { x: { dtype: 'float32', shape: [1, 3], values: [1.5, 'NaN', -0] } },
      },
      outputs: { x: { dtype: 'float32', shape: [1, 2], values: [Math.fround(0.1), 'Infinity'] } },
      top: [[{ label: 'b', score: 0.75 }]],
      timings: record.timings,
      createdAt: record.createdAt.toISOString(),
    });
    const stored = decodeTensorFile(await inputs.read(input.digest));
    expect(Buffer.from(stored['x']!.data)).toEqual(Buffer.from(aVector(1.5, NaN, -0)['x']!.data));
  });

  it('keeps names that mean something to the database', async () => {
    const id = predictions.newId();
    const vector = aVector(1)['x']!;
    const named = { $where: vector, 'a.b': vector, _bsontype: vector };

    await recorder.record(aRecord(id, { input: tensorInput(named), outputs: named }));

    const { input, outputs } = await records.get(id);
    expect(Object.keys(input.tensors!).sort()).toEqual(['$where', '_bsontype', 'a.b']);
    expect(Object.keys(outputs!).sort()).toEqual(['$where', '_bsontype', 'a.b']);
  });

  const WAITING = { writeConcernError: { code: 64, errmsg: 'waiting' } };
  it.each([
    ['record', 'predictions', { errorCode: 50 }],
    ['input', 'inputs', { errorCode: 50 }],
    ['record, stepping down', 'predictions', { errorCode: 10107 }],
    ['record, by a majority', 'predictions', WAITING],
    ['input, by a majority', 'inputs', WAITING],
    ['record, the connection being cut', 'predictions', { closeConnection: true }],
  ])('fails when the database does not take the %s (82, 138)', async (_what, collection, how) => {
    const record = aRecord(predictions.newId(), { input: freshInput() });
    const before = counts.state;

    const failing = whileFailing(
      admin,
      database.name,
      { failCommands: ['insert'], namespace: `${database.name}.${collection}`, ...how },
      async () => {
        await recorder.record(record);
      },
    );

    await expect(failing).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'recording_unavailable',
      details: { retryAfterSeconds: 1 },
    });
    if (collection === 'inputs') {
      await expect(records.get(record.id)).rejects.toThrow('no prediction');
    }
    await recorder.record(record);
    expect(counts.state).toMatchObject({
      predicted: before.predicted + 2,
      recorded: before.recorded + 1,
      dropped: before.dropped + 1,
      waiting: 0,
    });
    expect(await records.get(record.id)).toMatchObject({ input: { digest: record.input.digest } });
  });

  it('shows a record without values when its input is lost', async () => {
    const record = aRecord(predictions.newId(), { input: freshInput() });
    await recorder.record(record);

    await database.db.collection('inputs').deleteOne({ _id: inputId(record.input.digest) });

    expect((await records.get(record.id)).input.tensors).toEqual({
      x: { dtype: 'float32', shape: [1, 16] },
    });
  });
});

describe('insertGroup', () => {
  /** The database behind a connection that is lost so many times: once a command was carried out, or before. */
  function flaky(losses: number, isCarriedOut: boolean): { db: Db; sent: () => number } {
    let sent = 0;
    const db = Object.create(database.db) as Db;
    db.command = async (...args) => {
      const isLost = sent++ < losses;
      const reply = isLost && !isCarriedOut ? {} : await database.db.command(...args);
      if (isLost) throw new MongoNetworkError('connection 1 to 127.0.0.1 closed');
      return reply;
    };
    return { db, sent: () => sent };
  }
  const docs = (): Document[] => [{ _id: new ObjectId() }, { _id: new ObjectId() }];

  it.each([
    [true, 'present'],
    [false, 'inserted'],
  ])(
    'is not shaken by one lost connection, the command carried out being %s (138, 141)',
    async (isCarriedOut, kind) => {
      const { db, sent } = flaky(1, isCarriedOut);
      const two = docs();

      const outcomes = await insertGroup(db, 'flaky', two);

      expect(outcomes).toEqual([{ kind }, { kind }]);
      expect(sent()).toBe(2);
      expect(await count('flaky', { _id: { $in: two.map(({ _id }) => _id) } })).toBe(2);
    },
  );

  it('fails all of them for a second one', async () => {
    const outcomes = await insertGroup(flaky(2, true).db, 'flaky', docs());

    expect(outcomes.map(({ kind }) => kind)).toEqual(['failed', 'failed']);
  });

  it('refuses a document alone that breaks a rule, and takes what is there for what it is', async () => {
    await database.db
      .collection('ruled')
      .createIndexes([{ key: { name: 1 }, name: 'name', unique: true }]);
    const first = { _id: new ObjectId(), name: 'a' };
    await insertGroup(database.db, 'ruled', [first]);

    const outcomes = await insertGroup(database.db, 'ruled', [
      first,
      { _id: new ObjectId(), name: 'a' },
      { _id: new ObjectId(), name: 'b', missing: undefined },
    ]);

    expect(outcomes).toMatchObject([
      { kind: 'present' },
      { kind: 'failed', cause: { code: 'document_refused' } },
      { kind: 'inserted' },
    ]);
    expect(await count('ruled', { missing: { $exists: true } })).toBe(0);
  });
});

const SIZE = 16.5 * 1024 * 1024;
/** A little more than a document can hold. */
const TOO_LARGE: NamedTensors = {
  x: { dtype: 'float32', shape: [1, SIZE / 4], data: Buffer.alloc(SIZE) },
};

describe('group commit', () => {
  /** The commands that inserted, with how many documents each, while `work` ran. */
  async function insertsDuring(
    work: (recording: DurableRecorder, writing: RecordWriter) => Promise<void>,
  ): Promise<Record<string, number[]>> {
    const inserts: Record<string, number[]> = { inputs: [], predictions: [] };
    const client = new MongoClient(testMongoUri(), {
      monitorCommands: true,
      writeConcern: { w: 'majority' },
    });
    client.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
      if (commandName === 'insert') inserts[command['insert']]!.push(command['documents'].length);
    });
    const db = client.db(database.name);
    const repository = new PredictionsRepository(db, new Schema());
    const store = new InputsStore(db, new Schema());
    const writing = new RecordWriter(store, repository);
    await work(new DurableRecorder(writing, new RecordingCounts()), writing);
    await client.close();
    return inserts;
  }

  it('writes what came together with one command per collection', async () => {
    const input = freshInput();
    const groups = await insertsDuring(async (recording) => {
      await Promise.all(
        Array.from({ length: 64 }, async (_, n) => {
          const own = n % 2 === 0 ? input : freshInput();
          await recording.record(aRecord(predictions.newId(), { input: own }));
        }),
      );
    });

    expect(groups).toEqual({ inputs: [33], predictions: [64] });
  });

  it('writes queued records that came within a moment together', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gridstow-journal-'));
    const journal = new RecordingJournal({ dataDir: folder, mongodb: { db: 'db' } } as Config);
    const ids = Array.from({ length: 40 }, () => predictions.newId());
    const counting = new RecordingCounts();

    const groups = await insertsDuring(async (_recording, writing) => {
      const ok = { health: async () => await Promise.resolve({ ok: true }) };
      const log = pino({ level: 'silent' });
      const recording = new QueuedRecorder(writing, journal, counting, ok, log);
      for (const id of ids) await recording.record(aRecord(id, { input: freshInput() }));
      await recording.beforeApplicationShutdown();
    });

    expect(groups['predictions']!.reduce((sum, documents) => sum + documents)).toBe(40);
    expect(groups['predictions']!.length).toBeLessThan(20);
    expect(groups['inputs']).toEqual(groups['predictions']);
    expect(counting.state).toMatchObject({ predicted: 40, recorded: 40, waiting: 0 });
    await rm(folder, { recursive: true });
  });

  it('does not send an input again that was acknowledged a moment ago', async () => {
    const input = freshInput();
    const groups = await insertsDuring(async (recording) => {
      for (let n = 0; n < 3; n++) {
        await recording.record(aRecord(predictions.newId(), { input }));
      }
    });

    expect(groups).toEqual({ inputs: [1], predictions: [1, 1, 1] });
  });

  it('fails the one record that the database cannot take, and keeps the others', async () => {
    const all = Array.from({ length: 9 }, (_, n) =>
      aRecord(
        predictions.newId(),
        n === 4 ? { error: { code: 'x', message: 'x'.repeat(SIZE) } } : {},
      ),
    );

    const results = await Promise.allSettled(
      all.map(async (record) => {
        await recorder.record(record);
      }),
    );

    expect(results.map(({ status }) => status)).toEqual(
      all.map((_, n) => (n === 4 ? 'rejected' : 'fulfilled')),
    );
    const ids = all.map(({ id }) => new ObjectId(id));
    expect(await count('predictions', { _id: { $in: ids } })).toBe(8);
  });

  it('fails the one record whose input the database cannot take, and keeps the others', async () => {
    const all = Array.from({ length: 5 }, (_, n) =>
      aRecord(predictions.newId(), {
        // More than its length says, or it would go to the bucket.
        input: { ...freshInput(), ...(n === 2 ? { content: Buffer.alloc(SIZE) } : {}) },
      }),
    );

    const results = await Promise.allSettled(
      all.map(async (record) => {
        await recorder.record(record);
      }),
    );

    const expected = all.map((_, n) => (n === 2 ? 'rejected' : 'fulfilled'));
    expect(results.map(({ status }) => status)).toEqual(expected);
    // One that nobody was told of would look like a record that lost its input.
    const ids = all.map(({ id }) => new ObjectId(id));
    expect(await count('predictions', { _id: { $in: ids } })).toBe(4);
  });

  it('acknowledges only records that are there, whatever fails in between (138, 139)', async () => {
    const before = counts.state;
    const acknowledged: string[] = [];
    let tried = 0;
    let isOver = false;
    const connection = async (): Promise<void> => {
      while (!isOver) {
        const id = predictions.newId();
        tried += 1;
        await recorder.record(aRecord(id, { input: freshInput() })).then(
          () => acknowledged.push(id),
          () => undefined,
        );
      }
    };
    const failure = { failCommands: ['insert'], closeConnection: true };

    for (let round = 0; round < 5; round++) {
      isOver = false;
      const predicting = Array.from({ length: 8 }, connection);
      const droppedBefore = counts.state.dropped;
      await whileFailing(admin, database.name, failure, async () => {
        while (counts.state.dropped === droppedBefore) await sleep(5);
      });
      const recordedBefore = counts.state.recorded;
      while (counts.state.recorded < recordedBefore + 8) await sleep(5);
      isOver = true;
      await Promise.all(predicting);
    }

    const { predicted, recorded, dropped, waiting } = counts.state;
    expect(predicted - before.predicted).toBe(tried);
    expect(predicted).toBe(recorded + dropped);
    expect(waiting).toBe(0);
    expect(acknowledged).toHaveLength(recorded - before.recorded);
    const ids = acknowledged.map((id) => new ObjectId(id));
    expect(await count('predictions', { _id: { $in: ids } })).toBe(ids.length);
    for (const id of acknowledged) expect((await records.get(id)).input.tensors).toBeDefined();
  });
});

describe('QueuedRecorder', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'gridstow-journal-'));
    counts = new RecordingCounts();
  });
  afterEach(async () => {
    await rm(dataDir, { recursive: true, force: true });
  });

  const health = { health: async () => await Promise.resolve({ ok: true }) };
  const journal = (): RecordingJournal =>
    new RecordingJournal({ dataDir, mongodb: { uri: undefined, db: 'db', binary: undefined } });
  const queued = (): QueuedRecorder =>
    new QueuedRecorder(writer, journal(), counts, health, pino({ level: 'silent' }));
  const segments = async (): Promise<string[]> => await readdir(join(dataDir, 'recording/db'));
  const failing = { failCommands: ['insert'], errorCode: 50 };

  it('answers first and writes everything soon after', async () => {
    const recording = queued();
    const ids = Array.from({ length: 40 }, () => predictions.newId());

    await Promise.all(
      ids.map(async (id) => {
        await recording.record(aRecord(id));
      }),
    );
    expect(counts.state).toMatchObject({ predicted: 40, recorded: 0, waiting: 40 });
    await recording.beforeApplicationShutdown();

    expect(counts.state).toMatchObject({ predicted: 40, recorded: 40, dropped: 0, waiting: 0 });
    expect(recording.state).toEqual({ waiting: 0, waitingBytes: 0 });
    for (const id of ids) expect((await records.get(id)).predictionId).toBe(id);
    expect(await segments()).toEqual([]);
  });

  it('tries again while the database is away', async () => {
    const recording = queued();
    const record = aRecord(predictions.newId(), { input: freshInput() });

    await whileFailing(admin, database.name, failing, async (met) => {
      await recording.record(record);
      await met();
    });
    await recording.beforeApplicationShutdown();

    expect(counts.state).toMatchObject({ recorded: 1, dropped: 0, waiting: 0 });
    expect((await records.get(record.id)).input.tensors?.['x']?.values).toHaveLength(16);
  });

  it('leaves on disk what an orderly stop could not save, and the next start writes it', async () => {
    const ids = Array.from({ length: 20 }, () => predictions.newId());
    const made = { callerId: 'c', tags: { 'a.b': '$c' }, error: { code: 'x', message: 'y' } };
    await whileFailing(admin, database.name, failing, async () => {
      const recording = queued();
      for (const id of ids) await recording.record(aRecord(id, { ...made, input: freshInput() }));
      await recording.beforeApplicationShutdown();
    });
    expect(counts.state).toMatchObject({ predicted: 20, recorded: 0, dropped: 0, waiting: 20 });
    // As if written by a process that is gone.
    for (const name of await segments()) await disown(join(dataDir, 'recording/db', name));

    counts = new RecordingCounts();
    const next = queued();
    next.onApplicationBootstrap();
    while (counts.state.replayed < 20) await new Promise((resolve) => setTimeout(resolve, 10));
    await next.beforeApplicationShutdown();

    expect(counts.state).toMatchObject({ predicted: 0, recorded: 0, replayed: 20, waiting: 0 });
    for (const id of ids) {
      const { input, outputs, callerId, tags, error } = await records.get(id);
      expect({ callerId, tags, error }).toEqual(made);
      expect(input.tensors?.['x']?.values).toHaveLength(16);
      expect(outputs?.['x']?.values).toEqual([0.25, 0.75]);
    }
    expect(await segments()).toEqual([]);
  });

  it('leaves the journal of a process alone that still runs', async () => {
    const other = journal();
    await other.append(aRecord(predictions.newId()));

    expect(await journal().recover()).toEqual([]);
    expect(await segments()).toHaveLength(1);
    await other.close();
  });

  it('reads a journal up to where the crash cut it off', async () => {
    const other = journal();
    const ids = [predictions.newId(), predictions.newId()];
    for (const id of ids) await other.append(aRecord(id));
    await other.close();
    const [name] = await segments();
    const path = join(dataDir, 'recording/db', name!);
    await disown(path);
    await truncate(path, (await stat(path)).size - 5);

    expect((await journal().recover()).map(({ record }) => record.id)).toEqual([ids[0]]);
  });

  it('drops and counts a record that can never be written, and goes on', async () => {
    const recording = queued();
    const good = predictions.newId();

    await recording.record(aRecord(predictions.newId(), { outputs: TOO_LARGE }));
    await recording.record(aRecord(good));
    await recording.beforeApplicationShutdown();

    expect(counts.state).toMatchObject({ predicted: 2, recorded: 1, dropped: 1, waiting: 0 });
    expect((await records.get(good)).predictionId).toBe(good);
  });

  it('withholds the result when the journal cannot be written', async () => {
    await writeFile(join(dataDir, 'recording'), 'a file where a folder should be');

    await expect(queued().record(aRecord(predictions.newId()))).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'recording_unavailable',
    });
    expect(counts.state).toMatchObject({ predicted: 1, dropped: 1, waiting: 0 });
  });

  it('refuses more than it has room for, and counts what it took', async () => {
    const recording = queued();
    const input = freshInput(30 * 1024 * 1024);
    const next = async (): Promise<void> => {
      await recording.record(aRecord(predictions.newId(), { input }));
    };

    const results = await Promise.allSettled([next(), next(), next()]);

    expect(results[2]).toMatchObject({
      status: 'rejected',
      reason: { kind: 'overloaded', code: 'recording_queue_full' },
    });
    expect(counts.state).toMatchObject({ predicted: 3, dropped: 1 });
    await recording.beforeApplicationShutdown();
    expect(counts.state).toMatchObject({ recorded: 2, waiting: 0 });
    expect(recording.state.waitingBytes).toBe(0);
  });

  /** Rewrites the owner in the first frame to a process that does not run. */
  async function disown(path: string): Promise<void> {
    const bytes = await readFile(path);
    const body = BSON.serialize({ owner: { pid: 2 ** 31 - 1, started: null } });
    const header = Buffer.alloc(12);
    header.writeUInt32LE(body.length, 0);
    header.writeUInt32LE(crc32(body), 8);
    const others = bytes.subarray(12 + bytes.readUInt32LE(0));
    await writeFile(path, Buffer.concat([header, body, others]));
  }
});

describe('PredictionsRepository', () => {
  const model = 'listed';
  const ids: string[] = [];

  beforeAll(async () => {
    for (let n = 0; n < 30; n++) {
      const id = predictions.newId();
      ids.unshift(id);
      await predictions.insert(
        aRecord(id, {
          model,
          version: 1 + (n % 3),
          alias: n % 2 === 0 ? 'live' : 'canary',
          status: n % 10 === 0 ? 'failed' : 'ok',
          ...(n % 5 === 0 ? { callerId: `caller-${n}` } : {}),
          top: [[{ label: `label-${n % 4}`, score: 1 }], [{ label: 'label-0', score: 1 }]],
          createdAt: new Date(),
        }),
      );
    }
    // Failures of another model, or one index would do as well as another.
    for (let n = 0; n < 30; n++) {
      await predictions.insert(
        aRecord(predictions.newId(), { model: 'another', status: 'failed' }),
      );
    }
  });

  const idsOf = (found: readonly { id: string }[]): string[] => found.map(({ id }) => id);

  it('lists newest first, page after page, whatever is written meanwhile', async () => {
    const pages: string[][] = [];
    let before: string | undefined;
    for (;;) {
      const docs = await predictions.list({ model }, { limit: 7, ...(before ? { before } : {}) });
      if (docs.length === 0) break;
      pages.push(idsOf(docs));
      before = pages.at(-1)?.at(-1);
      if (pages.length === 2) await predictions.insert(aRecord(predictions.newId(), { model }));
    }

    expect(pages.flat()).toEqual(ids);
  });

  it.each([
    [{ version: 2 }, 10],
    [{ alias: 'canary' }, 15],
    [{ status: 'failed' as const }, 3],
    [{ callerId: 'caller-10' }, 1],
    [{ label: 'label-3' }, 7],
    [{ label: 'label-0' }, 30],
    [{ version: 1, alias: 'live', status: 'failed' as const }, 1],
    [{ since: new Date(Date.now() - 3_600_000), until: new Date(Date.now() + 3_600_000) }, 30],
    [{ since: new Date(Date.now() + 60_000) }, 0],
    [{ until: new Date('1960-01-01') }, 0],
    [{ since: new Date('2200-01-01') }, 0],
  ])('filters by %j', async (filter, expected) => {
    const docs = await predictions.list({ model, ...filter }, { limit: 100 });

    expect(docs.filter(({ id }) => ids.includes(id))).toHaveLength(expected);
  });

  it('takes times to the millisecond', async () => {
    const [doc] = await predictions.list({ model }, { limit: 1, before: ids[10]! });
    const { id, createdAt } = doc!;
    const around = async (since: number, until: number): Promise<boolean> => {
      const filter = {
        model,
        since: new Date(+createdAt + since),
        until: new Date(+createdAt + until),
      };
      return idsOf(await predictions.list(filter, { limit: 100 })).includes(id);
    };

    expect(await around(0, 1)).toBe(true);
    expect(await around(-5, 0)).toBe(false);
    expect(await around(1, 5)).toBe(false);
  });

  it('leaves the values and most of the rows of top in the database', async () => {
    const id = predictions.newId();
    const top = Array.from({ length: 100 }, () => [{ label: 'x', score: 1 }]);
    await predictions.insert(aRecord(id, { model: 'wide', top }));

    const [doc] = await predictions.list({ model: 'wide' }, { limit: 1 });

    expect(doc?.outputs).toEqual([{ name: 'x', dtype: 'float32', shape: [1, 2] }]);
    expect(doc?.top).toHaveLength(16);
  });

  it('is safe to repeat', async () => {
    const record = aRecord(predictions.newId());

    await predictions.insert(record);
    await predictions.insert(record);

    expect(await count('predictions', { _id: new ObjectId(record.id) })).toBe(1);
  });

  const now = new Date();
  it.each([
    [{}, '_id_'],
    [{ since: now }, '_id_'],
    [{ until: now }, '_id_'],
    [{ model }, 'model_newest'],
    [{ model, version: 2 }, 'version_newest'],
    [{ model, alias: 'canary' }, 'alias_newest'],
    [{ status: 'failed' as const }, 'failed_newest'],
    [{ status: 'ok' as const }, '_id_'],
    [{ model, status: 'failed' as const }, 'model_failed_newest'],
    [{ model, version: 2, status: 'failed' as const }, 'version_failed_newest'],
    [{ model, alias: 'live', status: 'failed' as const }, 'alias_failed_newest'],
    [{ callerId: 'caller-10' }, 'caller_newest'],
    [{ label: 'label-2' }, 'label_newest'],
    [
      {
        model,
        version: 2,
        alias: 'live',
        status: 'failed' as const,
        label: 'label-0',
        callerId: 'c',
        since: now,
        until: now,
      },
      null,
    ],
  ])('answers %j from an index, without sorting', async (filter, index) => {
    const plan = await explain(async (from) => await from.list(filter, { limit: 10 }));

    const { winningPlan } = plan['queryPlanner'] as { winningPlan: object };
    const stages = JSON.stringify(winningPlan);
    expect(stages).not.toContain('COLLSCAN');
    expect(stages).not.toContain('"SORT"');
    if (index !== null) expect(stages).toContain(`"indexName":"${index}"`);
  });

  it.each<[string, number, number, (from: PredictionsRepository) => Promise<unknown>]>([
    [
      'what failed of a version',
      1,
      1,
      async (from) => await from.list({ model, version: 2, status: 'failed' }, { limit: 10 }),
    ],
    [
      'what failed behind an alias that has none',
      0,
      0,
      async (from) => await from.list({ model, alias: 'canary', status: 'failed' }, { limit: 10 }),
    ],
    [
      'how many failed of a version',
      1,
      0,
      async (from) => await from.count({ model, version: 2, status: 'failed' }, { limit: 10 }),
    ],
    [
      'how many failed of each version',
      4,
      0,
      async (from) => await from.countBy('version', { model, status: 'failed' }),
    ],
    [
      'how many failed of a version by the hour',
      1,
      0,
      async (from) => await from.countBy('hour', { model, version: 2, status: 'failed' }),
    ],
    [
      'how many of a version by the hour',
      10,
      0,
      async (from) => await from.countBy('hour', { model, version: 2 }),
    ],
  ])('reads no record for %s but what it answers with', async (_, maxKeys, docs, read) => {
    const { executionStats } = await explain(read);

    expect(executionStats).toMatchObject({ totalDocsExamined: docs });
    // One more may be looked at to see where they end.
    expect((executionStats as Document)['totalKeysExamined']).toBeLessThanOrEqual(maxKeys + 1);
  });

  /** What the database says of the query that a call makes. */
  async function explain(
    read: (from: PredictionsRepository) => Promise<unknown>,
  ): Promise<Document> {
    const commands: Document[] = [];
    const watched = new MongoClient(testMongoUri(), { monitorCommands: true });
    watched.on('commandStarted', ({ commandName, command }) => {
      if (commandName === 'find' || commandName === 'aggregate') commands.push(command);
    });
    await read(new PredictionsRepository(watched.db(database.name), new Schema()));
    await watched.close();
    const ofTheSession = ['$db', 'lsid', '$clusterTime'];
    const command = Object.fromEntries(
      Object.entries(commands[0]!).filter(([key]) => !ofTheSession.includes(key)),
    );
    const plan = await database.db.command({ explain: command, verbosity: 'executionStats' });
    // Of an aggregation, what its first stage reads.
    const stages = plan['stages'] as readonly { readonly $cursor?: Document }[] | undefined;
    return stages?.[0]?.$cursor ?? plan;
  }
});
