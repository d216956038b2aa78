import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { ObjectId } from 'mongodb';

import { HoldsRepository } from '../../src/models/holds.repository';
import { ModelsRepository } from '../../src/models/models.repository';
import { createClient } from '../../src/mongo/connect';
import { DurableRecorder } from '../../src/predictions/durable-recorder.service';
import { InputFreeing } from '../../src/predictions/input-freeing.service';
import { INLINE_BYTES, InputsStore } from '../../src/predictions/inputs.store';
import { type PredictionInput, type PredictionRecord } from '../../src/predictions/prediction.doc';
import { tensorInput } from '../../src/predictions/prediction-input';
import { PredictionsRepository } from '../../src/predictions/predictions.repository';
import { RecordWriter } from '../../src/predictions/record-writer.service';
import { Retention } from '../../src/predictions/retention.service';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { serviceAppName, whileFailing } from '../support/fail-command';
import { aRecord, inputId } from '../support/prediction-records';
import { sendJson } from '../support/uploads';

const DAY_MS = 86_400_000;
/** What has to be gone is gone after one run. */
const AT_ONCE = { graceMs: 0, pauseMs: 0 };

const admin = createClient(testMongoUri(), { appName: 'arming' });
let service: BootedService;
let api: string;
let retention: Retention;
let models = 0;

beforeAll(async () => {
  service = await bootService();
  // A run of its own, half a minute after the start, would have the lead that a test is about to take.
  await service.service.background.stop();
  api = `${service.url}/api`;
  retention = service.service.app.get(Retention);
});

afterAll(async () => {
  await service.close();
  await admin.close();
});

/** A model of its own for each test, so that limits of one touch no records of another. */
async function aModel(limits?: object): Promise<string> {
  const model = `model-${++models}`;
  await service.service.app.get(ModelsRepository).nextVersion(model);
  if (limits) {
    const { status } = await sendJson('PATCH', `${api}/models/${model}`, { retention: limits });
    expect(status).toBe(200);
  }
  return model;
}

function anInput(bytes = 64): PredictionInput {
  const data = randomBytes(bytes);
  return tensorInput({ x: { dtype: 'float32', shape: [1, bytes / 4], data } });
}

async function record(
  model: string,
  { ageDays = 0, ...overrides }: Partial<PredictionRecord> & { ageDays?: number } = {},
): Promise<string> {
  const createdAt = new Date(Date.now() - ageDays * DAY_MS);
  const id =
    Math.floor(+createdAt / 1000)
      .toString(16)
      .padStart(8, '0') + new ObjectId().toHexString().slice(8);
  const made = aRecord(id, { model, input: anInput(), createdAt, ...overrides });
  await service.service.app.get(DurableRecorder).record(made);
  return id;
}

const ask = async (method: string, path: string, body?: object) =>
  await sendJson(method, `${api}/${path}`, body);
const isThere = async (id: string) => (await ask('GET', `predictions/${id}`)).status === 200;
const hold = async (path: string) => await ask('PUT', `${path}/hold`, { reason: 'a complaint' });
const stored = async (digest: string) =>
  (await service.db.collection('inputs').countDocuments({ _id: inputId(digest) })) === 1;

describe('the setting of a model', () => {
  it('is shown, changed and taken away', async () => {
    const model = await aModel({ maxAgeDays: 30, maxRecords: 1000 });
    const shown = await ask('GET', `models/${model}`);
    expect(shown.body.retention).toEqual({ maxAgeDays: 30, maxRecords: 1000 });

    const changed = await ask('PATCH', `models/${model}`, { retention: null });

    expect(changed.body).not.toHaveProperty('retention');
  });

  it.each([[{ maxRecords: 0 }], [{ maxAgeDays: 0.5 }], [{ maxDays: 3 }], ['30 days']])(
    'is refused as %j',
    async (limits) => {
      const model = await aModel();

      const { status } = await ask('PATCH', `models/${model}`, { retention: limits });

      expect(status).toBe(422);
    },
  );
});

describe('a run', () => {
  it('keeps the newest records up to their number, and counts what it removed', async () => {
    const model = await aModel({ maxRecords: 2 });
    const ids: string[] = [];
    for (let count = 0; count < 5; count++) ids.push(await record(model));
    expect((await ask('GET', `models/${model}/retention`)).body.records.due).toBe(3);

    const { finished, records } = await retention.retain(AT_ONCE);

    expect({ finished, records }).toEqual({ finished: true, records: 3 });
    expect(await Promise.all(ids.map(isThere))).toEqual([false, false, false, true, true]);
    const { body } = await ask('GET', `models/${model}/retention`);
    expect(body.records).toEqual({ recorded: 5, stored: 2, removed: 3, due: 0 });
    expect(body.lastRemovedAt).not.toBeNull();
    const { items } = (await ask('GET', `audit?model=${model}`)).body;
    expect(items).toEqual([
      expect.objectContaining({
        action: 'records_removed',
        retention: { maxRecords: 2 },
        records: 3,
        bytes: body.removed.bytes,
        doneAt: expect.any(String),
      }),
    ]);
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toMatch(/gridstow_recording_removed_total [1-9]/);
  });

  it('removes records past their age, and none of a model without a limit', async () => {
    const limited = await aModel({ maxAgeDays: 10 });
    const free = await aModel();
    const [old, young] = [
      await record(limited, { ageDays: 11 }),
      await record(limited, { ageDays: 9 }),
    ];
    const kept = await record(free, { ageDays: 1000 });

    await retention.retain(AT_ONCE);

    expect(await Promise.all([old, young, kept].map(isThere))).toEqual([false, true, true]);
  });

  it('goes by the limits of a model that was deleted', async () => {
    const model = await aModel({ maxAgeDays: 10 });
    const old = await record(model, { ageDays: 11 });
    expect((await ask('DELETE', `models/${model}`)).status).toBe(204);

    await retention.retain(AT_ONCE);

    expect(await isThere(old)).toBe(false);
  });

  it('removes what was said of removed records, unless it is about others, too', async () => {
    const model = await aModel({ maxAgeDays: 10 });
    const say = async (path: string) => await ask('PUT', `predictions/${path}`, { label: 'cat' });
    const old = await record(model, { ageDays: 11, callerId: 'only-old' });
    await record(model, { ageDays: 11, callerId: 'both' });
    await record(model, { callerId: 'both' });
    await say(`${old}/feedback`);
    for (const callerId of ['only-old', 'both']) {
      await say(`feedback?model=${model}&callerId=${callerId}`);
    }

    const { feedback } = await retention.retain(AT_ONCE);

    expect(feedback).toBe(2);
    const left = await service.db.collection('feedback').find({ model }).toArray();
    expect(left.map(({ callerId }) => callerId as string)).toEqual(['both']);
  });

  it('forecasts what goes, and touches nothing by that', async () => {
    await retention.retain(AT_ONCE);
    const model = await aModel({ maxAgeDays: 10 });
    const shared = anInput();
    await record(model, { ageDays: 11, input: anInput(2 * INLINE_BYTES) });
    const kept = await record(model, { ageDays: 11 });
    await record(model, { ageDays: 11, input: shared });
    await record(await aModel(), { input: shared });
    await hold(`predictions/${kept}`);

    const forecast = await retention.forecast();
    const again = await retention.forecast();
    const removed = await retention.retain(AT_ONCE);

    expect(forecast).toMatchObject({ records: 2, inputs: 1 });
    expect(again).toEqual(forecast);
    const { records, inputs, bytes } = removed;
    expect({ records, inputs, bytes }).toEqual(forecast);
  });

  it('tells the same by npm run retain', async () => {
    const model = await aModel({ maxAgeDays: 10 });
    await record(model, { ageDays: 11 });
    const env = { MONGODB_URI: testMongoUri(), GRIDSTOW_DB: service.db.databaseName };
    const run = async (...args: string[]) => {
      const script = join(__dirname, '../../dist/scripts/retain.js');
      const options = { env: { ...process.env, ...env } };
      return (await promisify(execFile)(process.execPath, [script, ...args], options)).stdout;
    };

    expect(await run('--dry-run')).toMatch(
      /^retain: 1 records and 1 inputs \(\d+ bytes\) would go/,
    );
    expect(await run()).toMatch(/^retain: 1 records, .* 1 inputs without a record go in an hour/);
    expect(await run('--dry-run')).toMatch(/^retain: 0 records and 1 inputs/);
  });

  it('leaves the work to the process that is at it', async () => {
    const model = await aModel({ maxAgeDays: 10 });
    const old = await record(model, { ageDays: 11 });
    const leader = { _id: 'retention' as never, holder: 'other', token: 1_000_000 };
    const leaders = service.db.collection('leaders');
    await leaders.replaceOne(
      { _id: leader._id },
      { ...leader, until: new Date(Date.now() + 60_000) },
      { upsert: true },
    );

    const { finished } = await retention.retain(AT_ONCE);

    await leaders.updateOne({ _id: leader._id }, { $set: { until: new Date(0) } });
    expect(finished).toBe(false);
    expect(await isThere(old)).toBe(true);
  });

  it('removes nothing that it cannot enter in the audit', async () => {
    const model = await aModel({ maxAgeDays: 10 });
    const old = await record(model, { ageDays: 11 });
    const namespace = `${service.db.databaseName}.audit`;

    const run = whileFailing(
      admin,
      serviceAppName(service.db.databaseName),
      { failCommands: ['update'], namespace, errorCode: 50 },
      async () => await retention.retain(AT_ONCE),
    );

    await expect(run).rejects.toThrow();
    expect(await isThere(old)).toBe(true);
  });
});

describe('inputs', () => {
  it('go with the last record that refers to them, chunks included, when the grace is over', async () => {
    await retention.retain(AT_ONCE);
    const model = await aModel({ maxAgeDays: 10 });
    const [alone, large, shared] = [anInput(), anInput(2 * INLINE_BYTES), anInput()];
    for (const input of [alone, large, shared]) await record(model, { ageDays: 11, input });
    const other = await record(await aModel(), { input: shared });
    const parts = async () => {
      const names = ['inputs.files', 'inputs.chunks'];
      return await Promise.all(names.map((name) => service.db.collection(name).countDocuments()));
    };
    const before = await parts();

    const first = await retention.retain({ ...AT_ONCE, graceMs: 60_000 });
    expect(first).toMatchObject({ records: 3, inputs: 0 });
    expect(first.waiting).toBeGreaterThanOrEqual(2);
    expect(await stored(alone.digest)).toBe(true);
    await retention.retain(AT_ONCE);

    expect(await stored(alone.digest)).toBe(false);
    expect(await stored(large.digest)).toBe(false);
    const after = await parts();
    expect(after[0]).toBe(before[0]! - 1);
    expect(after[1]).toBeLessThan(before[1]!);
    const { input } = (await ask('GET', `predictions/${other}`)).body;
    expect(input.tensors.x.values).toHaveLength(16);
    const [freed] = (await ask('GET', 'audit?action=inputs_freed')).body.items;
    expect(freed).toMatchObject({ inputs: expect.any(Number), bytes: expect.any(Number) });
  });

  it('without any record go as well, and so do bytes that never became an input (82)', async () => {
    const input = anInput();
    await service.service.app.get(InputsStore).save(input);
    const file = ObjectId.createFromTime(Math.floor(Date.now() / 1000) - 2 * 86_400);
    const chunks = service.db.collection('inputs.chunks');
    await chunks.insertOne({ files_id: file, n: 0, data: Buffer.from('left over') });
    const young = new ObjectId();
    await chunks.insertOne({ files_id: young, n: 0, data: Buffer.from('under way') });

    await retention.retain(AT_ONCE);

    expect(await stored(input.digest)).toBe(false);
    expect(await chunks.countDocuments({ files_id: file })).toBe(0);
    expect(await chunks.countDocuments({ files_id: young })).toBe(1);
  });

  it('stay for one record beside inputs of thousands, and go without any', async () => {
    const model = await aModel();
    const [popular, unused] = [anInput(), anInput()];
    // Some of them are found behind the popular one, whatever the order.
    const rare = Array.from({ length: 10 }, () => anInput());
    const repository = service.service.app.get(PredictionsRepository);
    // More than are looked at together.
    const used = [...Array.from({ length: 4_200 }, () => popular), ...rare];
    const outcomes = await repository.insertAll(
      used.map((input) => aRecord(repository.newId(), { model, input })),
    );
    expect(outcomes.every(({ kind }) => kind === 'done')).toBe(true);
    const inputs = service.service.app.get(InputsStore);
    await inputs.saveAll([popular, ...rare, unused]);

    await retention.retain({ ...AT_ONCE, graceMs: 60_000 });
    const kept = [popular, ...rare].map(({ digest }) => inputId(digest));
    const marked = { unusedSince: { $exists: true }, _id: { $in: kept } };
    expect(await service.db.collection('inputs').countDocuments(marked as never)).toBe(0);
    await retention.retain(AT_ONCE);

    expect(await stored(popular.digest)).toBe(true);
    for (const { digest } of rare) expect(await stored(digest)).toBe(true);
    expect(await stored(unused.digest)).toBe(false);
  });

  it('stay when they are used again after their last record went', async () => {
    const inputs = service.service.app.get(InputsStore);
    const model = await aModel({ maxAgeDays: 10 });
    const [seen, unseen] = [anInput(), anInput()];
    for (const input of [seen, unseen]) await record(model, { ageDays: 11, input });
    await retention.retain({ ...AT_ONCE, graceMs: 60_000 });
    inputs.forget(unseen.digest);

    // The one is not even sent again, the other is found in the database.
    const ids = [await record(model, { input: seen }), await record(model, { input: unseen })];
    await retention.retain(AT_ONCE);

    for (const id of ids) {
      expect((await ask('GET', `predictions/${id}`)).body.input.tensors.x.values).toHaveLength(16);
    }
    const marked = {
      unusedSince: { $exists: true },
      _id: { $in: [inputId(seen.digest), inputId(unseen.digest)] },
    };
    expect(await service.db.collection('inputs').countDocuments(marked as never)).toBe(0);
  });

  it('stay when they are stored again between the second look and the removal', async () => {
    const inputs = service.service.app.get(InputsStore);
    const input = anInput();
    await inputs.save(input);
    await inputs.markUnused([input.digest]);
    let attempts = 0;

    const removed = await service.service.app.get(HoldsRepository).exclusively(async (session) => {
      if (++attempts === 1) {
        // The transaction has begun, and its record is still on its way.
        inputs.forget(input.digest);
        await inputs.save(input);
      }
      return await inputs.removeUnused([input.digest], 0, session);
    });

    expect(attempts).toBe(2);
    expect(removed.inputs).toBe(0);
    expect(await stored(input.digest)).toBe(true);
  });

  it('are there for every prediction that is recorded while they are being freed', async () => {
    const inputs = service.service.app.get(InputsStore);
    const freeing = service.service.app.get(InputFreeing);
    const model = await aModel();
    await retention.retain(AT_ONCE);
    const options = { ...AT_ONCE, stillLeads: async () => await Promise.resolve(true) };
    let [freed, spared] = [0, 0];
    // Spread over the time that freeing takes, which depends on the machine.
    let spreadMs = 100;
    for (let round = 0; round < 10 || (round < 50 && Math.min(freed, spared) === 0); round++) {
      const pool = Array.from({ length: 8 }, () => anInput());
      await Promise.all(
        pool.map(async (input) => {
          await inputs.save(input);
        }),
      );
      for (const { digest } of pool) inputs.forget(digest);

      const [result, ids] = await Promise.all([
        (async () => {
          const startedMs = performance.now();
          const outcome = await freeing.free(options);
          spreadMs = performance.now() - startedMs;
          return outcome;
        })(),
        Promise.all(
          pool.map(async (input, place) => {
            await new Promise((resolve) => setTimeout(resolve, (place * spreadMs) / 6));
            return await record(model, { input });
          }),
        ),
      ]);

      freed += result.inputs;
      spared += pool.length - result.inputs;
      for (const id of ids) {
        const bytes = await fetch(`${api}/predictions/${id}/input`);
        expect(bytes.status).toBe(200);
      }
    }
    // Otherwise nothing ever raced.
    expect(Math.min(freed, spared)).toBeGreaterThan(0);
  });

  it('are looked for again by a write that stood still, before it counts', async () => {
    const inputs = service.service.app.get(InputsStore);
    const predictions = service.service.app.get(PredictionsRepository);
    const input = anInput();
    await inputs.save(input);
    const made = aRecord(predictions.newId(), { model: await aModel(), input });
    const now = performance.now.bind(performance);
    let hasStoodStill = false;
    const slow = new RecordWriter(inputs, {
      insertAll: async (some: readonly PredictionRecord[]) => {
        // The first time only: freed while the record was on its way.
        if (!hasStoodStill) {
          hasStoodStill = true;
          await service.db.collection('inputs').deleteOne({ _id: inputId(input.digest) });
          jest.spyOn(performance, 'now').mockImplementation(() => now() + 120_000);
        }
        return await predictions.insertAll(some);
      },
      remove: async (id: string) => {
        await predictions.remove(id);
      },
    } as PredictionsRepository);

    await slow.write(made);

    expect(await stored(input.digest)).toBe(true);
    jest.restoreAllMocks();
  });
});

describe('holds', () => {
  it('keep a prediction, and its input, until they are taken away', async () => {
    const model = await aModel({ maxAgeDays: 10 });
    const id = await record(model, { ageDays: 11 });
    const { status, body } = await hold(`predictions/${id}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ kind: 'prediction', target: id, reason: 'a complaint' });

    await retention.retain(AT_ONCE);
    const erasure = await ask('DELETE', `predictions/${id}/input`);

    expect(await isThere(id)).toBe(true);
    expect(erasure.status).toBe(409);
    expect(erasure.body.code).toBe('held');
    expect(erasure.body.details.hold).toEqual(body);
    expect((await ask('GET', 'holds?limit=1000')).body.items).toContainEqual(body);
    expect((await ask('DELETE', `predictions/${id}/hold`)).status).toBe(204);
    expect((await ask('DELETE', `predictions/${id}/hold`)).body.code).toBe('hold_not_found');
    await retention.retain(AT_ONCE);
    expect(await isThere(id)).toBe(false);
  });

  it('keep an input without a record, and refuse its erasure', async () => {
    const model = await aModel({ maxAgeDays: 10 });
    const input = anInput();
    const id = await record(model, { ageDays: 11, input });
    await hold(`inputs/${input.digest}`);
    expect((await ask('DELETE', `inputs/${input.digest}`)).body.code).toBe('held');

    await retention.retain(AT_ONCE);

    expect(await isThere(id)).toBe(false);
    expect(await stored(input.digest)).toBe(true);
    await ask('DELETE', `inputs/${input.digest}/hold`);
    await retention.retain(AT_ONCE);
    expect(await stored(input.digest)).toBe(false);
  });

  it('keep a model whole: its records, their inputs, its versions and itself', async () => {
    const model = await aModel({ maxAgeDays: 10 });
    const id = await record(model, { ageDays: 11 });
    await hold(`models/${model}`);

    await retention.retain(AT_ONCE);
    const erasure = await ask('DELETE', `predictions/${id}/input`);
    const deletion = await ask('DELETE', `models/${model}`);

    expect(await isThere(id)).toBe(true);
    for (const { status, body } of [erasure, deletion]) {
      expect(status).toBe(409);
      expect(body.details.hold).toMatchObject({ kind: 'model', target: model });
    }
    expect((await ask('GET', `models/${model}/retention`)).body).toMatchObject({
      hold: { reason: 'a complaint' },
      records: { recorded: 1, stored: 1, removed: 0, due: 1 },
    });
  });

  it('are put on nothing that is not there', async () => {
    const unknown = new ObjectId().toHexString();
    expect((await hold('models/nobody')).body.code).toBe('model_not_found');
    expect((await hold(`predictions/${unknown}`)).body.code).toBe('prediction_not_found');
    expect((await hold(`inputs/sha256:${'0'.repeat(64)}`)).body.code).toBe('input_missing');
    expect((await ask('PUT', `predictions/${unknown}/hold`, {})).status).toBe(422);
  });

  it('that were answered for bind a run and an erasure that are under way', async () => {
    const model = await aModel({ maxAgeDays: 10 });
    for (let round = 0; round < 10; round++) {
      const ids = await Promise.all(
        Array.from({ length: 4 }, async () => await record(model, { ageDays: 11 })),
      );

      const [, ...holds] = await Promise.all([
        retention.retain(AT_ONCE),
        ...ids.map(async (id, place) => {
          await new Promise((resolve) => setTimeout(resolve, place * 6));
          const [held, erased] = await Promise.all([
            hold(`predictions/${id}`),
            ask('DELETE', `predictions/${id}/input`),
          ]);
          return { id, isHeld: held.status === 200, isErased: erased.status === 200 };
        }),
      ]);

      for (const { id, isHeld, isErased } of holds) {
        expect(await isThere(id)).toBe(isHeld);
        if (!isHeld) continue;
        const bytes = await fetch(`${api}/predictions/${id}/input`);
        // Whoever came first: erased before it was held, or held and never erased.
        expect(bytes.status).toBe(isErased ? 404 : 200);
      }
      await Promise.all(ids.map(async (id) => await ask('DELETE', `predictions/${id}/hold`)));
    }
  });
});
