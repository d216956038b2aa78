import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { MongoClient } from 'mongodb';

import { embeddedUri } from '../support/embedded-uri';
import { type SpawnedService, spawnService } from '../support/spawn-service';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const digits = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');

let dataDir: string;
let service: SpawnedService;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gridstow-recording-'));
});

afterEach(async () => {
  await service.kill('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

async function start(recording: string): Promise<void> {
  service = await spawnService({ GRIDSTOW_DATA_DIR: dataDir, GRIDSTOW_RECORDING: recording });
}

const CONNECTIONS = 8;

interface Predicting {
  /** Ids of the predictions that were answered. */
  readonly acknowledged: string[];
  /** What the others were told: status and code. */
  readonly refused: string[];
  stop(): Promise<void>;
}

/** Predicts over eight connections until told to stop, each time with an input of its own. */
function predictMeanwhile(): Predicting {
  const acknowledged: string[] = [];
  const refused: string[] = [];
  let isOver = false;
  const connection = async (): Promise<void> => {
    while (!isOver) {
      const image = Array.from({ length: 8 }, () =>
        Array.from({ length: 8 }, () => [Math.random()]),
      );
      const url = `${service.url}/api/models/digits/predict`;
      const answer = await sendJson('POST', url, { instances: [image] }).catch(() => null);
      if (answer?.status === 200) acknowledged.push(answer.body.predictionId);
      else {
        if (answer) refused.push(`${answer.status} ${answer.body.code}`);
        await pause(5);
      }
    }
  };
  const all = Promise.all(Array.from({ length: CONNECTIONS }, connection));
  return {
    acknowledged,
    refused,
    stop: async () => {
      isOver = true;
      await all;
    },
  };
}

const pause = async (ms: number): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, ms));
};

const getRecord = async (id: string) =>
  await sendJson('GET', `${service.url}/api/predictions/${id}`);

/** Waits for records that are still on their way, then looks at each with its input. */
async function expectRecorded(ids: readonly string[]): Promise<void> {
  expect(ids.length).toBeGreaterThan(10);
  for (const id of ids) {
    let record = await getRecord(id);
    for (let tries = 0; tries < 100 && record.status !== 200; tries++) {
      await pause(100);
      record = await getRecord(id);
    }
    expect([id, record.status]).toEqual([id, 200]);
    expect(record.body.input.tensors.image.values).toHaveLength(64);
  }
}

interface Counters {
  readonly predicted: number;
  readonly recorded: number;
  readonly dropped: number;
  readonly replayed: number;
  readonly queued: number;
}

/** What the running process says became of its records; the sum has to hold at any moment. */
async function readCounters(): Promise<Counters> {
  const text = await (await fetch(`${service.url}/metrics`)).text();
  const read = (what: string): number =>
    Number(new RegExp(`^gridstow_recording_${what} (\\d+)$`, 'm').exec(text)?.[1]);
  const counters = {
    predicted: read('predicted_total'),
    recorded: read('recorded_total'),
    dropped: read('dropped_total'),
    replayed: read('replayed_total'),
    queued: read('queued'),
  };
  const { predicted, recorded, dropped, queued } = counters;
  expect(predicted).toBe(recorded + dropped + queued);
  return counters;
}

/** The counters once nothing waits any more. */
async function settledCounters(): Promise<Counters> {
  for (;;) {
    const counters = await readCounters();
    if (counters.queued === 0) return counters;
    await pause(50);
  }
}

const countStored = async (filter: { status?: 'failed' } = {}): Promise<number> => {
  let stored = 0;
  await inDatabase(async (client) => {
    stored = await client.db('gridstow').collection('predictions').countDocuments(filter);
  });
  return stored;
};

async function untilAcknowledged(list: readonly string[], more: number): Promise<void> {
  const enough = list.length + more;
  const deadline = Date.now() + 90_000;
  while (list.length < enough) {
    if (service.process.exitCode !== null || Date.now() > deadline) {
      throw new Error(`the service answers no more predictions; it said: ${service.output()}`);
    }
    await pause(20);
  }
}

it.each(['durable', 'queued'])(
  'kill -9 of the service in mode %s loses no record of an answered prediction (82, 139)',
  async (recording) => {
    await start(recording);
    await upload(service.url, 'digits', digits);
    const answered: string[] = [];
    let predicted = 0;
    for (let round = 0; round < 3; round++) {
      const predicting = predictMeanwhile();
      await untilAcknowledged(predicting.acknowledged, 20 + round * 11);
      // Of a process that is killed, what it said last is all there is.
      ({ predicted } = await readCounters());
      expect(predicted).toBeGreaterThanOrEqual(20 + round * 11);
      await service.kill('SIGKILL');
      await predicting.stop();
      answered.push(...predicting.acknowledged);
      await start(recording);
    }

    await expectRecorded(answered);
    // The last process predicted nothing: what it wrote is what it found in the journal.
    const { replayed, ...rest } = await settledCounters();
    expect(rest).toEqual({ predicted: 0, recorded: 0, dropped: 0, queued: 0 });
    if (recording === 'durable') expect(replayed).toBe(0);
    // Nothing is there twice: beyond the answered there are only those whose answer the kill cut off.
    const unheard = (await countStored()) - answered.length;
    expect(unheard).toBeGreaterThanOrEqual(0);
    expect(unheard).toBeLessThanOrEqual(3 * CONNECTIONS);
  },
);

it.each(['durable', 'queued'])(
  'kill -9 of the database in mode %s loses no record of an answered prediction (139)',
  async (recording) => {
    await start(recording);
    await upload(service.url, 'digits', digits);
    const predicting = predictMeanwhile();
    for (let round = 0; round < 2; round++) {
      await untilAcknowledged(predicting.acknowledged, 20);
      await inDatabase(async (client) => {
        const { pid } = await client.db('admin').command({ serverStatus: 1 });
        process.kill(Number(pid), 'SIGKILL');
      });
      await untilAcknowledged(predicting.acknowledged, 20);
    }
    await predicting.stop();

    await expectRecorded(predicting.acknowledged);
    await expectCountersToAgree(predicting);
  },
);

it('a primary that steps down costs refusals, never a record (138)', async () => {
  await start('durable');
  await upload(service.url, 'digits', digits);
  const predicting = predictMeanwhile();

  await untilAcknowledged(predicting.acknowledged, 20);
  await inDatabase(async (client) => {
    await client
      .db('admin')
      .command({ replSetStepDown: 2, secondaryCatchUpPeriodSecs: 0, force: true });
  });
  await untilAcknowledged(predicting.acknowledged, 20);
  await predicting.stop();

  await expectRecorded(predicting.acknowledged);
  await expectCountersToAgree(predicting);
});

/**
 * Each prediction of this process was recorded or dropped, and what was dropped had no answer.
 *
 * A prediction that failed while the database was away (its version could not be loaded, say) is
 * recorded as such once the database is back, and is none of the acknowledged.
 */
async function expectCountersToAgree({ acknowledged, refused }: Predicting): Promise<void> {
  expect(refused.filter((answer) => !/^50[34] /.test(answer))).toEqual([]);
  const { predicted, recorded, dropped } = await settledCounters();
  const failed = await countStored({ status: 'failed' });
  expect(recorded).toBeGreaterThanOrEqual(acknowledged.length);
  expect(recorded).toBeLessThanOrEqual(acknowledged.length + failed);
  expect(predicted).toBe(recorded + dropped);
  const stored = await countStored();
  expect(stored).toBeGreaterThanOrEqual(recorded);
  // Written without anybody knowing for sure, and so withheld.
  expect(stored).toBeLessThanOrEqual(predicted);
}

async function inDatabase(work: (client: MongoClient) => Promise<void>): Promise<void> {
  const client = new MongoClient(await embeddedUri(dataDir));
  try {
    await work(client);
  } finally {
    await client.close();
  }
}
