import { ObjectId } from 'mongodb';

import { RecordingCounts } from '../../src/predictions/recording-counts';
import { bootService, type BootedService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { publishStored } from '../support/published-version';
import { type LinkState, startTcpProxy, type TcpProxy } from '../support/tcp-proxy';
import { greaterThanHalf } from '../support/tiny-graphs';
import { sendJson } from '../support/uploads';

const MODES = ['durable', 'queued', 'off'] as const;

let proxy: TcpProxy;
let service: BootedService;

beforeAll(async () => {
  const { hostname, port } = new URL(testMongoUri());
  proxy = await startTcpProxy(hostname, Number(port));
  service = await bootService({
    MONGODB_URI: `mongodb://127.0.0.1:${proxy.port}/?directConnection=true`,
  });
  const x = [{ name: 'x', dtype: 'float32', shape: [-1, 3] }] as const;
  const large = [{ name: 'large', dtype: 'bool', shape: [-1, 3] }] as const;
  for (const recording of MODES) {
    await publishStored(service.db, recording, greaterThanHalf(), {
      signature: { inputs: x, outputs: large },
      recording,
      // Nothing but requests is to ask for it.
      aliases: [],
    });
    expect((await predict(recording)).status).toBe(200);
  }
});

afterAll(async () => {
  proxy.set('open');
  await service.close();
  await proxy.close();
});

const predict = async (model: string) => {
  const instances = [[Math.random(), Math.random(), Math.random()]];
  return await sendJson('POST', `${service.url}/api/models/${model}/versions/1/predict`, {
    instances,
  });
};
const counts = () => service.service.app.get(RecordingCounts).state;

/** Everything that was answered is there, and everything was counted. */
async function expectRecorded(ids: readonly string[]): Promise<void> {
  while (counts().waiting > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  const { predicted, recorded, dropped } = counts();
  expect(predicted).toBe(recorded + dropped);
  const wanted = { _id: { $in: ids.map((id) => new ObjectId(id)) } };
  const found = await service.db.collection('predictions').find(wanted).toArray();
  expect(found).toHaveLength(ids.length);
  const digests = new Map(found.map(({ input }) => [String(input.digest), input.digest as never]));
  const inputs = service.db.collection('inputs');
  expect(await inputs.countDocuments({ _id: { $in: [...digests.values()] } })).toBe(digests.size);
}

async function untilRecording(): Promise<string> {
  for (;;) {
    const { status, body } = await predict('durable');
    if (status === 200) return body.predictionId as string;
    expect(status).toBe(503);
  }
}

it.each<LinkState>(['cut', 'frozen'])(
  'a %s network to the database: what must be recorded answers 503, the rest goes on (140, 141)',
  async (state) => {
    proxy.set(state);
    const answers = await Promise.all(
      MODES.map(async (model) => [model, await predict(model)] as const),
    );
    proxy.set('open');

    const [durable, queued, off] = answers.map(([, answer]) => answer);
    expect([durable?.status, durable?.body.code]).toEqual([503, 'recording_unavailable']);
    expect([queued?.status, off?.status]).toEqual([200, 200]);
    const after = await untilRecording();
    await expectRecorded([after, queued?.body.predictionId]);
  },
);

it.each<LinkState>(['slow', 'sliced'])(
  'a %s network with connections that are lost costs refusals, never a record (140)',
  async (state) => {
    const answered: string[] = [];
    proxy.set(state);
    for (let round = 0; round < 3; round++) {
      const predicting = Array.from({ length: 16 }, async (_, n) => {
        await new Promise((resolve) => setTimeout(resolve, n * 30));
        const { status, body } = await predict(n % 2 === 0 ? 'durable' : 'queued');
        expect([200, 503]).toContain(status);
        if (status === 200) answered.push(body.predictionId as string);
      });
      setTimeout(() => {
        proxy.resetAll();
      }, 200);
      await Promise.all(predicting);
    }
    proxy.set('open');

    answered.push(await untilRecording());
    expect(answered.length).toBeGreaterThan(10);
    await expectRecorded(answered);
  },
);
