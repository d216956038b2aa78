import { Binary, type Document, ObjectId } from 'mongodb';

import { Schema } from '../../src/mongo/schema';
import { InputsStore } from '../../src/predictions/inputs.store';
import { PredictionRecords } from '../../src/predictions/prediction-records.service';
import { PredictionsRepository } from '../../src/predictions/predictions.repository';
import { tensorInput } from '../../src/predictions/prediction-input';
import { type FreshDatabase, freshDatabase } from '../support/database';
import { aRecord, aVector } from '../support/prediction-records';

const RECORDS = 1_100;

let database: FreshDatabase;

beforeEach(() => {
  database = freshDatabase();
});

afterEach(async () => {
  await database.close();
});

const input = tensorInput(aVector(1, 2, 3));

/** A record as the first builds wrote it. */
function oldRecord(_id: ObjectId): Document {
  const { tags, outputs, ...rest } = aRecord(_id.toHexString(), { input });
  const { digest, kind, bytes, contentType, tensors } = input;
  return {
    _id,
    ...rest,
    id: undefined,
    tags: Object.entries(tags).map(([k, v]) => ({ k, v })),
    input: { digest, kind, bytes, contentType, tensors },
    outputs: Object.entries(outputs!).map(([name, { dtype, shape, data }]) => ({
      name,
      dtype,
      shape,
      values: new Binary(data),
    })),
    top: [[{ label: 'a', score: 0.5 }]],
    labels: ['a'],
  };
}

function oldInput(overrides: Document = {}): Document {
  const { digest, kind, bytes, contentType, content } = input;
  return {
    _id: digest,
    kind,
    bytes,
    contentType,
    content: new Binary(content),
    createdAt: new Date(),
    usedAt: new Date(),
    ...overrides,
  };
}

async function start(): Promise<{
  records: PredictionRecords;
  predictions: PredictionsRepository;
}> {
  const schema = new Schema();
  const inputs = new InputsStore(database.db, schema);
  const predictions = new PredictionsRepository(database.db, schema);
  await schema.apply(database.db);
  return { records: new PredictionRecords(predictions, inputs), predictions };
}

const count = async (collection: string, filter: Document): Promise<number> =>
  await database.db.collection(collection).countDocuments(filter);

describe('documents of the first builds', () => {
  it('are read like new ones after the next start, also one that was cut off before', async () => {
    const ids = Array.from({ length: RECORDS }, () => new ObjectId());
    await database.db.collection('predictions').insertMany(ids.map(oldRecord));
    await database.db.collection('inputs').insertOne(oldInput());

    await start();
    // As if the run before had ended after its first group.
    const [oldest] = ids;
    await database.db.collection('predictions').replaceOne({ _id: oldest! }, oldRecord(oldest!));
    await database.db.collection('inputs').insertOne(oldInput());
    const { records, predictions } = await start();

    expect(await count('predictions', { 'input.digest': { $type: 'string' } })).toBe(0);
    expect(await count('inputs', { _id: { $type: 'string' } })).toBe(0);
    for (const id of [ids[0], ids.at(-1)]) {
      expect(await records.get(id!.toHexString())).toMatchObject({
        model: 'digits',
        protocol: 'native',
        input: { digest: input.digest, kind: 'tensors', tensors: { x: { values: [1, 2, 3] } } },
        outputs: { x: { values: [0.25, 0.75] } },
        top: [[{ label: 'a', score: 0.5 }]],
        timings: { queueMs: 0, inferMs: 1, totalMs: 2 },
        tags: {},
      });
    }
    expect(await predictions.countMadeFrom(input.digest)).toBe(RECORDS);
    expect(await count('inputs', {})).toBe(1);
  });

  it('say what was erased, and leave new ones alone', async () => {
    const [old, made] = [new ObjectId(), new ObjectId()];
    const erased = { at: new Date(5), reason: 'asked to', auditId: new ObjectId() };
    await database.db.collection('predictions').insertOne(oldRecord(old));
    await database.db.collection('inputs').insertOne(oldInput({ erased, content: undefined }));
    const { predictions } = await start();
    await predictions.insert(aRecord(made.toHexString(), { input }));

    const { records } = await start();

    for (const id of [old, made]) {
      const { erased: note } = (await records.get(id.toHexString())).input;
      expect(note).toEqual({ at: erased.at.toISOString(), reason: 'asked to' });
    }
  });
});
