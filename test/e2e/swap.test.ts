import autocannon from 'autocannon';

import { digestText } from '../../src/predictions/input-digest';
import { bootService, type BootedService } from '../support/boot';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const CONNECTIONS = 32;
const MOVES = 50;

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
  it('fail no request of 32 connections, and each answer is that of the one version it names (130)', async () => {
    const expected = new Map<number, number[]>();
    for (const version of [1, 2]) {
      expected.set(version, (await predict(`digits/versions/${version}`)).body.predictions[0]);
    }
    expect(expected.get(1)).not.toEqual(expected.get(2));
    const answers: { status: number; body: any }[] = [];
    const load = autocannon({
      url: `${service.url}/api/models/digits/predict`,
      connections: CONNECTIONS,
      // Ended by hand, after the last move.
      duration: 600,
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ instances }),
      requests: [
        {
          onResponse: (status, body) => {
            answers.push({ status, body: JSON.parse(body) });
          },
        },
      ],
    });

    const moves: number[] = [];
    for (let move = 0; move < MOVES; move++) {
      const moved =
        move % 4 === 3
          ? await sendJson('POST', `${service.url}/api/models/digits/rollback`, { to: 'previous' })
          : await sendJson('PUT', `${service.url}/api/models/digits/aliases/live`, {
              version: move % 2 === 0 ? 2 : 1,
            });
      expect(moved.status).toBe(200);
      // What was acknowledged here is what the next request here sees.
      const now = (await predict('digits')).body.version;
      expect(now).toBe(moved.body.version ?? moved.body.to);
      moves.push(now);
    }
    (load as unknown as { stop: () => void }).stop();
    const { errors, timeouts, non2xx } = await load;

    expect({ errors, timeouts, non2xx }).toEqual({ errors: 0, timeouts: 0, non2xx: 0 });
    expect(answers.length).toBeGreaterThan(CONNECTIONS);
    expect(new Set(answers.map(({ body }) => body.version))).toEqual(new Set([1, 2]));
    // Not an expectation for each number: there are so many that idle connections would run out.
    const wrong = answers.filter(
      ({ body }) =>
        body.alias !== 'live' ||
        body.predictions[0].some(
          (score: number, index: number) =>
            !(Math.abs(score - expected.get(body.version)![index]!) < 5e-6),
        ),
    );
    expect(wrong).toEqual([]);
    const { body } = await sendJson(
      'GET',
      `${service.url}/api/models/digits/aliases/live/history?limit=1000`,
    );
    const history = body.items.map(({ version }: { version: number }) => version).reverse();
    expect(history.slice(1)).toEqual(moves.filter((version, at) => version !== [1, ...moves][at]));
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
    for (const { digest, version } of records) {
      expect(digestText(digest.buffer)).toBe(digests.get(version));
    }
    expect(await service.db.collection('inputs').countDocuments()).toBe(1);
  });
});
