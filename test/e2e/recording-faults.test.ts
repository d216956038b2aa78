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

/** Predicts over eight connections until told to stop, each time with an input of its own. */
function predictMeanwhile(): { readonly acknowledged: string[]; stop(): Promise<void> } {
  const acknowledged: string[] = [];
  let isOver = false;
  const connection = async (): Promise<void> => {
    while (!isOver) {
      const image = Array.from({ length: 8 }, () =>
        Array.from({ length: 8 }, () => [Math.random()]),
      );
      const url = `${service.url}/api/models/digits/predict`;
      const answer = await sendJson('POST', url, { instances: [image] }).catch(() => null);
      if (answer?.status === 200) acknowledged.push(answer.body.predictionId);
      else await pause(5);
    }
  };
  const all = Promise.all(Array.from({ length: 8 }, connection));
  return {
    acknowledged,
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
    for (let round = 0; round < 3; round++) {
      const predicting = predictMeanwhile();
      await untilAcknowledged(predicting.acknowledged, 20 + round * 11);
      await service.kill('SIGKILL');
      await predicting.stop();
      answered.push(...predicting.acknowledged);
      await start(recording);
    }

    await expectRecorded(answered);
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
});

async function inDatabase(work: (client: MongoClient) => Promise<void>): Promise<void> {
  const client = new MongoClient(embeddedUri(dataDir));
  try {
    await work(client);
  } finally {
    await client.close();
  }
}
