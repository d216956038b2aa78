import { IdempotencyRepository } from '../../src/http/idempotency.repository';
import { bootService, type BootedService } from '../support/boot';
import { serviceAppName, whileFailing } from '../support/fail-command';
import { fixtureFiles, sendJson, toForm, upload } from '../support/uploads';

let service: BootedService;
let models = 0;
const v1 = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
const keyed = (key: string): Record<string, string> => ({ 'Idempotency-Key': key });
const freshModel = (): string => `keyed-${++models}`;
const versionsOf = async (model: string): Promise<number> =>
  await service.db.collection('versions').countDocuments({ model });

beforeAll(async () => {
  service = await bootService();
});

afterAll(async () => {
  await service.close();
});

describe('Idempotency-Key of an upload', () => {
  it('answers a repetition with the first answer, status and all', async () => {
    const model = freshModel();
    const first = await upload(service.url, model, v1, { headers: keyed(`${model}-a`) });
    await sendJson('PATCH', `${service.url}/api/models/${model}/versions/1`, {
      description: 'changed since',
    });

    const again = await fetch(`${service.url}/api/models/${model}/versions`, {
      method: 'POST',
      body: toForm(v1),
      headers: keyed(`${model}-a`),
    });

    expect(first.status).toBe(201);
    expect(again.status).toBe(201);
    expect(again.headers.get('Idempotency-Replayed')).toBe('true');
    expect(again.headers.get('Location')).toBe(`/api/models/${model}/versions/1`);
    expect(await again.json()).toEqual(first.body);
  });

  it('refuses the key for other content, other metadata and another route (13)', async () => {
    const model = freshModel();
    const headers = keyed(`${model}-a`);
    await upload(service.url, model, v1, { headers });

    const metadata = { description: 'other' };
    const refused = [
      await upload(service.url, model, fixtureFiles('tfjs/digits-cnn-v2.k3h5.fixed'), { headers }),
      await upload(service.url, model, v1, { headers, metadata }),
      await upload(service.url, model, v1, { headers, query: '?promote=canary' }),
      await upload(service.url, freshModel(), v1, { headers }),
    ];

    expect(refused.map(({ status }) => status)).toEqual([422, 422, 422, 422]);
    expect(new Set(refused.map(({ body }) => body.code))).toEqual(
      new Set(['idempotency_key_reused']),
    );
    expect(await versionsOf(model)).toBe(1);
  });

  it('carries one of two parallel requests out; the other waits its turn or hears the same (12)', async () => {
    const model = freshModel();
    const headers = keyed(`${model}-a`);
    const told: Awaited<ReturnType<typeof upload>>[] = [];
    const attempt = async (): Promise<void> => {
      const answer = await upload(service.url, model, v1, { headers });
      told.push(answer);
      if (answer.status !== 409) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
      await attempt();
    };

    // As many as there are, each of them until it has its answer.
    await Promise.all(Array.from({ length: 20 }, attempt));

    const accepted = told.filter(({ status }) => status !== 409);
    expect(accepted).toEqual(new Array(20).fill({ ...accepted[0], status: 201 }));
    expect(accepted[0]?.body.version).toBe(1);
    for (const { status, body } of told.filter((answer) => !accepted.includes(answer))) {
      expect([status, body.code]).toEqual([409, 'idempotency_key_in_flight']);
      expect(body.details.retryAfterSeconds).toBeGreaterThan(0);
    }
    expect(await versionsOf(model)).toBe(1);
  });

  it('says in Retry-After when to ask again while the first is at work (12)', async () => {
    const model = freshModel();
    const keys = service.service.app.get(IdempotencyRepository);
    await keys.claim(`${model}-a`, `POST /api/models/${model}/versions`);

    const response = await fetch(`${service.url}/api/models/${model}/versions`, {
      method: 'POST',
      body: toForm(v1),
      headers: keyed(`${model}-a`),
    });

    expect(response.status).toBe(409);
    expect(Number(response.headers.get('Retry-After'))).toBeGreaterThan(0);
    await response.text();
  });

  it('goes on where a process died: the same key comes to the same version (6)', async () => {
    const model = freshModel();
    const request = `POST /api/models/${model}/versions`;
    await upload(service.url, model, v1);
    const keys = service.service.app.get(IdempotencyRepository);
    await keys.claim(`${model}-a`, request);
    await service.db
      .collection<{ _id: string }>('idempotency')
      .updateOne({ _id: `${model}-a` }, { $set: { leaseUntil: new Date(0) } });

    const { status, body } = await upload(service.url, model, v1, {
      headers: keyed(`${model}-a`),
    });

    expect([status, body.version]).toEqual([200, 1]);
    expect(await versionsOf(model)).toBe(1);
  });

  it('repeats the refusal of a version that took a number, and spends no second one', async () => {
    const model = freshModel();
    const headers = keyed(`${model}-a`);
    // Passes the inspection, and no engine can load it.
    const broken = JSON.parse(String(v1['model.json']));
    const layer = broken.modelTopology.model_config.config.layers.find(
      ({ class_name }: any) => class_name === 'Conv2D',
    );
    layer.config.padding = 'sideways';
    const files = { ...v1, 'model.json': JSON.stringify(broken) };

    const first = await upload(service.url, model, files, { headers });
    const again = await upload(service.url, model, files, { headers });

    expect([first.status, first.body.code]).toEqual([422, 'version_rejected']);
    expect({ ...again.body, requestId: '' }).toEqual({ ...first.body, requestId: '' });
    expect(await versionsOf(model)).toBe(1);
  });

  it('forgets an attempt that came to nothing, so that the same key can succeed (7)', async () => {
    const model = freshModel();
    const headers = keyed(`${model}-a`);
    const failing = { failCommands: ['insert'], errorCode: 91 };
    // Bytes that no other model has: equal ones would need no write.
    const [shard = ''] = Object.keys(v1).filter((path) => path.endsWith('.bin'));
    const weights = Buffer.from(v1[shard]!);
    weights.writeUInt8(weights.readUInt8(0) ^ 1, 0);
    const files = { ...v1, [shard]: weights };
    const failed = await whileFailing(
      service.db.client,
      serviceAppName(service.db.databaseName),
      { ...failing, namespace: `${service.db.databaseName}.artifacts.chunks` },
      async () => await upload(service.url, model, files, { headers }),
    );

    const again = await upload(service.url, model, files, { headers });

    expect([failed.status, again.status]).toEqual([503, 201]);
    expect(again.body.version).toBe(1);
    expect(await versionsOf(model)).toBe(1);
  });

  it.each(['', 'a b', 'ä', 'x'.repeat(256)])('refuses the key %j', async (key) => {
    const encoded = Buffer.from(key).toString('latin1');
    const { status, body } = await upload(service.url, freshModel(), v1, {
      headers: keyed(encoded),
    });

    expect([status, body.code]).toEqual([400, 'idempotency_key_invalid']);
  });
});

describe('Idempotency-Key of an alias move', () => {
  it('moves once: a repetition after another move changes nothing', async () => {
    const model = freshModel();
    await upload(service.url, model, v1);
    await upload(service.url, model, v1, { metadata: { labels: Array(10).fill('b') } });
    const url = `${service.url}/api/models/${model}/aliases/live`;
    const first = await sendJson('PUT', url, { version: 2 }, keyed(`${model}-p`));
    await sendJson('PUT', url, { version: 1 });

    const again = await sendJson('PUT', url, { version: 2 }, keyed(`${model}-p`));

    expect(first.body).toMatchObject({ version: 2, revision: 2 });
    expect(again.body).toEqual(first.body);
    expect((await sendJson('GET', url)).body).toMatchObject({ version: 1, revision: 3 });
    const other = await sendJson('PUT', url, { version: 1 }, keyed(`${model}-p`));
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused']);
  });

  it('rolls back once: two requests with one key go back one version', async () => {
    const model = freshModel();
    await upload(service.url, model, v1);
    await upload(service.url, model, v1, { metadata: { labels: Array(10).fill('b') } });
    const api = `${service.url}/api/models/${model}`;
    await sendJson('PUT', `${api}/aliases/live`, { version: 2 });
    const body = { to: 'previous' };

    const first = await sendJson('POST', `${api}/rollback`, body, keyed(`${model}-r`));
    const again = await sendJson('POST', `${api}/rollback`, body, keyed(`${model}-r`));

    expect(first.body).toMatchObject({ from: 2, to: 1, revision: 3 });
    expect(again.body).toEqual(first.body);
    expect((await sendJson('GET', `${api}/aliases/live`)).body.revision).toBe(3);

    // As after a process that died between the move and the word that it was done.
    await service.db
      .collection<{ _id: string }>('idempotency')
      .updateOne(
        { _id: `${model}-r` },
        { $set: { leaseUntil: new Date(0) }, $unset: { settled: '' } },
      );
    const afterCrash = await sendJson('POST', `${api}/rollback`, body, keyed(`${model}-r`));
    expect(afterCrash.body).toEqual(first.body);
    expect((await sendJson('GET', `${api}/aliases/live`)).body.revision).toBe(3);
  });
});
