import { bootService, type BootedService } from '../support/boot';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_EXECUTORS: '2' });
  for (const name of ['tfjs/digits-cnn-v1.k3h5.fixed', 'tfjs/digits-cnn-v2.k3h5.fixed']) {
    expect((await upload(service.url, 'digits', fixtureFiles(name))).status).toBe(201);
  }
});

afterAll(async () => {
  await service.close();
});

const instances = [Array.from({ length: 8 }, () => Array.from({ length: 8 }, (_, x) => [x / 8]))];
const predict = async (ref: string) =>
  await sendJson('POST', `${service.url}/api/models/${ref}/predict`, { instances });

describe('alias moves under load', () => {
  it('fail no request, and each answer is that of the one version it names (130)', async () => {
    const expected = new Map<number, unknown>();
    for (const version of [1, 2]) {
      expected.set(version, (await predict(`digits/versions/${version}`)).body.predictions);
    }
    expect(expected.get(1)).not.toEqual(expected.get(2));
    let running = true;
    const isRunning = (): boolean => running;
    const answers: { status: number; body: any }[] = [];
    const clients = Array.from({ length: 8 }, async () => {
      while (isRunning()) answers.push(await predict('digits'));
    });

    for (let move = 0; move < 40; move++) {
      const moved =
        move % 4 === 3
          ? await sendJson('POST', `${service.url}/api/models/digits/rollback`, { to: 'previous' })
          : await sendJson('PUT', `${service.url}/api/models/digits/aliases/live`, {
              version: (move % 2) + 1,
            });
      expect(moved.status).toBe(200);
      // What was acknowledged here is what the next request here sees.
      const now = (await predict('digits')).body.version;
      expect(now).toBe(moved.body.version ?? moved.body.to);
    }
    running = false;
    await Promise.all(clients);

    expect(answers.length).toBeGreaterThan(100);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    for (const { body } of answers) {
      expect(body.predictions).toEqual(expected.get(body.version));
      expect(body.alias).toBe('live');
    }
  });

  it('records every answer with the version that gave it, exactly once', async () => {
    const ids = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const { status, body } = await predict('digits');
      expect([status, body.error]).toEqual([200, undefined]);
      ids.add(body.predictionId);
    }

    const records = await service.db.collection('predictions').find().toArray();

    const recorded = records.map(({ _id }) => String(_id));
    expect(new Set(recorded).size).toBe(recorded.length);
    for (const id of ids) expect(recorded).toContain(id);
    const digests = new Map(
      (await service.db.collection('versions').find().toArray()).map((doc) => [
        doc['version'],
        doc['digest'],
      ]),
    );
    for (const record of records) expect(record['digest']).toBe(digests.get(record['version']));
    expect(await service.db.collection('inputs').countDocuments()).toBe(1);
  });
});
