import { bootService, type BootedService } from '../support/boot';
import { publishStored } from '../support/published-version';
import { endlessLoop, greaterThanHalf } from '../support/tiny-graphs';
import { sendJson } from '../support/uploads';

let service: BootedService;

beforeAll(async () => {
  // Time enough for a new executor to start on a busy machine: meanwhile, others wait with the one
  // that never ends.
  service = await bootService({ GRIDSTOW_EXECUTORS: '2', GRIDSTOW_PREDICT_TIMEOUT_MS: '8000' });
  await publishStored(service.db, 'endless', endlessLoop(), {
    signature: {
      inputs: [{ name: 'x', dtype: 'float32', shape: [1] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [1] }],
    },
    aliases: ['live'],
  });
  await publishStored(service.db, 'half', greaterThanHalf(), {
    signature: {
      inputs: [{ name: 'x', dtype: 'float32', shape: [-1, 3] }],
      outputs: [{ name: 'large', dtype: 'bool', shape: [-1, 3] }],
    },
  });
});

afterAll(async () => {
  await service.close();
});

const predict = async (model: string, instances: unknown) =>
  await sendJson('POST', `${service.url}/api/models/${model}/predict`, { instances });

describe('a version that never ends', () => {
  it('costs its own requests a 504, others nothing, and is quarantined after the third executor (55, 133)', async () => {
    const others = new Set<number>();
    let running = true;
    const isRunning = (): boolean => running;
    const load = (async () => {
      while (isRunning()) others.add((await predict('half', [[1, 0, 1]])).status);
    })();

    const statuses: number[] = [];
    // A call that began late, behind a load, is not held against the version: it may take a few more.
    while (statuses.at(-1) !== 409 && statuses.length < 12) {
      statuses.push((await predict('endless', [1])).status);
    }
    const version = async () =>
      (await sendJson('GET', `${service.url}/api/models/endless/versions/1`)).body;
    const refused = await predict('endless', [1]);
    running = false;
    await load;

    expect(statuses.length).toBeGreaterThan(3);
    expect(statuses.slice(0, -1)).toEqual(new Array(statuses.length - 1).fill(504));
    expect([...others]).toEqual([200]);
    expect(await version()).toMatchObject({
      state: 'quarantined',
      failure: {
        code: 'version_harmful',
        message: expect.stringContaining('3 executors within 10'),
      },
    });
    expect([refused.status, refused.body.code]).toEqual([409, 'version_not_ready']);
  });
});
