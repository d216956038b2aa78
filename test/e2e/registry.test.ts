import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { buffer } from 'node:stream/consumers';

import { zipSync } from 'fflate';
import { type ObjectId } from 'mongodb';
import { extract, pack } from 'tar-stream';

import { bootService, type BootedService } from '../support/boot';
import {
  deleteOnceUnread,
  type Files,
  fixtureFiles,
  sendJson,
  toForm,
  upload,
} from '../support/uploads';

let service: BootedService;
let api: string;
const v1 = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
const v2 = fixtureFiles('tfjs/digits-cnn-v2.k3h5.fixed');

beforeAll(async () => {
  // Deletion with its grace has tests of its own.
  service = await bootService({ GRIDSTOW_DELETE_GRACE_MS: '0' });
  api = `${service.url}/api`;
});

afterAll(async () => {
  await service.close();
});

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const get = async (path: string) => await sendJson('GET', `${api}${path}`);
const live = async (model: string): Promise<number> =>
  (await get(`/models/${model}/aliases/live`)).body.version as number;

let models = 0;
const freshModel = (): string => `model-${++models}`;

/** A model with two ready versions; `live` is the first. */
async function twoVersions(): Promise<string> {
  const model = freshModel();
  expect((await upload(service.url, model, v1)).status).toBe(201);
  expect((await upload(service.url, model, v2)).status).toBe(201);
  return model;
}

async function chunkCount(): Promise<number> {
  return await service.db.collection('artifacts.chunks').countDocuments();
}

describe('upload', () => {
  it('publishes a layers model with everything its uploader said', async () => {
    const model = freshModel();
    const metadata = {
      description: 'a convolutional net',
      framework: 'keras 3',
      trainingParameters: { epochs: 8, optimizer: { name: 'adam', rate: 0.001 } },
      metrics: { accuracy: 0.967 },
      tags: { team: 'vision' },
      labels: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
    };

    const { status, body } = await upload(service.url, model, v1, { metadata });

    expect(status).toBe(201);
    expect(body).toMatchObject({
      ...metadata,
      model,
      version: 1,
      state: 'ready',
      format: 'tfjs-layers',
      parent: null,
      aliases: ['live'],
      failure: null,
      recipe: null,
      signature: {
        inputs: [{ name: 'image', dtype: 'float32', shape: [-1, 8, 8, 1] }],
        outputs: [{ dtype: 'float32', shape: [-1, 10] }],
      },
    });
    expect(body.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(body.files).toEqual(
      Object.entries(v1).map(([path, content]) =>
        expect.objectContaining({ path, bytes: content.length, sha256: sha256(content) }),
      ),
    );
    expect(body.storedBytes).toBeLessThan(body.rawBytes);
    expect(await get(`/models/${model}/versions/1`)).toMatchObject({ status: 200, body });
    expect((await get(`/models/${model}`)).body).toMatchObject({
      model,
      latestVersion: 1,
      versions: 1,
      aliases: { live: 1 },
    });
  });

  it('publishes a graph model', async () => {
    const { status, body } = await upload(
      service.url,
      freshModel(),
      fixtureFiles('tfjs/digits-cnn-v1.graph-sharded'),
    );

    expect(status).toBe(201);
    expect(body).toMatchObject({ state: 'ready', format: 'tfjs-graph' });
  });

  async function tarOf(files: Files): Promise<Buffer> {
    const tar = pack();
    for (const [name, content] of Object.entries(files)) tar.entry({ name }, Buffer.from(content));
    tar.finalize();
    return await buffer(tar);
  }

  it.each([
    ['application/x-tar', async () => await tarOf(v1)],
    ['application/gzip', async () => gzipSync(await tarOf(v1))],
    ['application/x-gtar', async () => gzipSync(await tarOf(v1))],
    ['application/zip', async () => await Promise.resolve(Buffer.from(zipSync(v1)))],
  ])('takes the same model as %s, with metadata in the query', async (type, pack) => {
    const model = freshModel();
    const metadata = encodeURIComponent(JSON.stringify({ tags: { via: type } }));

    const response = await fetch(`${api}/models/${model}/versions?metadata=${metadata}`, {
      method: 'POST',
      headers: { 'Content-Type': type },
      body: await pack(),
    });

    const body = (await response.json()) as any;
    expect(response.status).toBe(201);
    expect(body.tags).toEqual({ via: type });
    expect(body.files.map(({ path }: { path: string }) => path)).toEqual(Object.keys(v1).sort());
  });

  it('answers equal content with the version that has it, and stores nothing twice', async () => {
    const model = freshModel();
    const first = await upload(service.url, model, v1);
    const before = await chunkCount();

    const second = await upload(service.url, model, v1);

    expect(second.status).toBe(200);
    expect(second.body).toMatchObject({ version: 1, digest: first.body.digest });
    expect(await chunkCount()).toBe(before);
  });

  it('makes one version of equal uploads that race', async () => {
    const model = freshModel();

    const answers = await Promise.all(
      Array.from({ length: 4 }, async () => await upload(service.url, model, v1)),
    );

    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 201]);
    expect(new Set(answers.map(({ body }) => body.version)).size).toBe(1);
    expect((await get(`/models/${model}/versions`)).body.items).toHaveLength(1);
  });

  it('gives distinct numbers to different uploads that race (14)', async () => {
    const model = freshModel();

    const answers = await Promise.all(
      [{ n: '1' }, { n: '2' }, { n: '3' }].map(
        async ({ n }) =>
          await upload(service.url, model, v1, { metadata: { labels: Array(10).fill(n) } }),
      ),
    );

    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(answers.map(({ body }) => body.version).sort()).toEqual([1, 2, 3]);
    expect(await live(model)).toBeGreaterThan(0);
  });

  it('tries an upload without storing anything when asked for a dry run', async () => {
    const before = await chunkCount();
    const model = freshModel();

    const { status, body } = await upload(service.url, model, v1, { query: '?dryRun=true' });

    expect(status).toBe(200);
    expect(body).toMatchObject({ dryRun: true, existingVersion: null, format: 'tfjs-layers' });
    expect(await chunkCount()).toBe(before);
    expect((await get(`/models/${model}`)).status).toBe(404);
  });

  it('moves the alias that the uploader names', async () => {
    const model = freshModel();
    await upload(service.url, model, v1);

    const { body } = await upload(service.url, model, v2, { query: '?promote=canary' });

    expect(body.aliases).toEqual(['canary']);
    expect((await get(`/models/${model}/aliases/canary`)).body).toMatchObject({ version: 2 });
    expect(await live(model)).toBe(1);
  });

  it('takes a body that matches its Content-Digest and refuses one that differs (29)', async () => {
    const tar = await tarOf(v1);
    const send = async (model: string, digest: string) =>
      await fetch(`${api}/models/${model}/versions`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-tar', 'Content-Digest': digest },
        body: tar,
      });
    const right = `sha-256=:${createHash('sha256').update(tar).digest('base64')}:`;
    const wrong = `sha-256=:${createHash('sha256').update('else').digest('base64')}:`;
    const [good, bad] = [freshModel(), freshModel()];

    expect((await send(good, right)).status).toBe(201);
    const before = await chunkCount();
    const refused = await send(bad, wrong);

    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ code: 'digest_mismatch' });
    expect((await get(`/models/${bad}`)).status).toBe(404);
    expect(await chunkCount()).toBe(before);
    expect((await send(bad, 'md5=:abc:')).status).toBe(400);
  });

  describe('refuses, leaving nothing behind', () => {
    async function expectRefused(
      send: (model: string) => Promise<{ status: number; body: any }>,
      status = 422,
    ): Promise<any> {
      const model = freshModel();
      const before = await chunkCount();

      const answer = await send(model);

      expect(answer.status).toBe(status);
      expect((await get(`/models/${model}`)).status).toBe(404);
      expect(await chunkCount()).toBe(before);
      expect(await service.db.collection('uploadIntents').countDocuments()).toBe(0);
      return answer.body;
    }

    const without = (path: string): Files =>
      Object.fromEntries(Object.entries(v1).filter(([name]) => name !== path));
    const shard = Object.keys(v1).find((name) => name.endsWith('.bin')) ?? '';

    it('a missing shard, naming it (40)', async () => {
      const body = await expectRefused(
        async (model) => await upload(service.url, model, without(shard)),
      );

      expect(body.details.faults).toContainEqual(
        expect.objectContaining({ message: expect.stringContaining(shard) }),
      );
    });

    it('a surplus file that looks like a shard, naming it (40)', async () => {
      const files = { ...v1, 'group1-shard2of2.bin': Buffer.alloc(8) };

      const body = await expectRefused(async (model) => await upload(service.url, model, files));

      expect(JSON.stringify(body.details.faults)).toContain('group1-shard2of2.bin');
    });

    it.each([-4, 4])('a shard that is %d bytes off (43)', async (difference) => {
      const bytes = v1[shard] ?? Buffer.alloc(0);
      const changed =
        difference < 0
          ? bytes.subarray(0, difference)
          : Buffer.concat([bytes, Buffer.alloc(difference)]);

      const body = await expectRefused(
        async (model) => await upload(service.url, model, { ...v1, [shard]: changed }),
      );

      expect(body.details.faults.length).toBeGreaterThan(0);
    });

    it('a path that climbs out (39)', async () => {
      await expectRefused(
        async (model) =>
          await upload(service.url, model, { ...v1, '../../etc/passwd': Buffer.from('x') }),
      );
    });

    it('unknown metadata keys and faulty ones, all of them', async () => {
      const metadata = { metrics: { accuracy: 'high' }, colour: 'red', parent: -1 };

      const body = await expectRefused(
        async (model) => await upload(service.url, model, v1, { metadata }),
      );

      expect(body.details.faults.map(({ path }: { path: string }) => path).sort()).toEqual([
        'metadata.colour',
        'metadata.metrics',
        'metadata.parent',
      ]);
    });

    it('tags that would be operators or prototypes (73)', async () => {
      for (const tags of [
        '{"$gt":"1"}',
        '{"a.b":"1"}',
        '{"constructor":"x"}',
        '{"_bsontype":"x"}',
      ]) {
        const form = toForm(v1);
        form.set('metadata', `{"tags":${tags}}`);
        await expectRefused(async (model) => {
          const url = `${api}/models/${model}/versions`;
          const response = await fetch(url, { method: 'POST', body: form });
          return { status: response.status, body: await response.json() };
        });
      }
    });

    it('a form without files', async () => {
      await expectRefused(async (model) => await upload(service.url, model, {}, { metadata: {} }));
    });

    it('a content type it does not know (101)', async () => {
      await expectRefused(async (model) => {
        const headers = { 'Content-Type': 'text/html' };
        const url = `${api}/models/${model}/versions`;
        const response = await fetch(url, { method: 'POST', headers, body: '<p>' });
        return { status: response.status, body: await response.json() };
      }, 415);
    });

    it('a parent that does not exist', async () => {
      await expectRefused(
        async (model) => await upload(service.url, model, v1, { metadata: { parent: 9 } }),
      );
    });
  });

  it.each(['..', '.hidden', '-x', 'a'.repeat(129), 'a b', 'ä', 'а', '%00', '$where'])(
    'refuses %j as a model name (103)',
    async (name) => {
      const { status } = await upload(service.url, encodeURIComponent(name), v1);

      // The URL standard folds `..` away before it is sent, so no such route is left.
      expect([404, 422]).toContain(status);
    },
  );
});

describe('search', () => {
  const model = 'searched';

  beforeAll(async () => {
    const rows = [
      { accuracy: 0.8, stage: 'draft' },
      { accuracy: 0.9, stage: 'final' },
      { accuracy: 0.95, stage: 'final' },
    ];
    for (const { accuracy, stage } of rows) {
      const metadata = {
        metrics: { accuracy },
        tags: { stage },
        labels: Array(10).fill(stage + accuracy),
      };
      expect((await upload(service.url, model, v1, { metadata })).status).toBe(201);
    }
  });

  const numbers = async (query: string): Promise<number[]> =>
    (await get(`/models/${model}/versions${query}`)).body.items.map(
      ({ version }: { version: number }) => version,
    );

  it('finds versions by tag, metric, state and time, newest first', async () => {
    expect(await numbers('')).toEqual([3, 2, 1]);
    expect(await numbers('?tag=stage:final')).toEqual([3, 2]);
    expect(await numbers('?metric=accuracy>=0.9')).toEqual([3, 2]);
    expect(await numbers('?metric=accuracy>0.9')).toEqual([3]);
    expect(await numbers('?metric=accuracy<0.9&tag=stage:draft')).toEqual([1]);
    expect(await numbers('?metric=accuracy=0.95')).toEqual([3]);
    expect(await numbers('?state=failed')).toEqual([]);
    expect(await numbers('?since=2200-01-01')).toEqual([]);
    expect(await numbers('?sort=version')).toEqual([1, 2, 3]);
  });

  it('pages through a list that grows meanwhile, each item once', async () => {
    const first = (await get(`/models/${model}/versions?limit=2`)).body;
    expect(first.items).toHaveLength(2);

    const second = (await get(`/models/${model}/versions?limit=2&cursor=${first.next}`)).body;

    expect(second.items.map(({ version }: { version: number }) => version)).toEqual([1]);
    expect(second.next).toBeNull();
  });

  it.each(['limit=0', 'limit=-1', 'limit=1e9', 'limit=abc', 'limit=', 'limit=5&limit=6'])(
    'refuses %s (91, 95)',
    async (query) => {
      expect((await get(`/models/${model}/versions?${query}`)).status).toBe(400);
    },
  );

  it.each([
    'state[$ne]=ready',
    'tag[$regex]=.*',
    'fields=$password',
    'sort=$where',
    'metric=accuracy',
    'since=yesterday',
    'state=ready&bogus=1',
  ])('refuses %s (88, 93)', async (query) => {
    const { status, body } = await get(`/models/${model}/versions?${query}`);

    expect(status).toBe(400);
    expect(body).toMatchObject({ code: 'bad_query', requestId: expect.any(String) });
  });

  it('refuses cursors that were altered or belong to another list (94)', async () => {
    const { next } = (await get(`/models/${model}/versions?limit=1`)).body;

    for (const cursor of [`${next}x`, `x${next}`, 'abc', 'a.b.c', `${next}.z`]) {
      expect((await get(`/models/${model}/versions?limit=1&cursor=${cursor}`)).status).toBe(400);
    }
    const other = `/models/${model}/versions?limit=1&tag=stage:final&cursor=${next}`;
    expect((await get(other)).status).toBe(400);
  });

  it('finds models by the start of their name, taken literally (92)', async () => {
    expect((await get('/models?q=SEARCH')).body.items).toHaveLength(1);
    expect((await get(`/models?q=${encodeURIComponent('((a+)+)$')}`)).body.items).toEqual([]);
    expect((await get(`/models?q=${encodeURIComponent('.*')}`)).body.items).toEqual([]);
  });

  it('describes models and versions, and refuses what is not theirs to change (99)', async () => {
    const patch = async (path: string, body: unknown) =>
      await sendJson('PATCH', `${api}/models/${model}${path}`, body);

    expect((await patch('', { description: 'd', tags: { a: 'b' } })).body).toMatchObject({
      description: 'd',
      tags: { a: 'b' },
    });
    expect((await patch('/versions/1', { metrics: { f1: 0.5 } })).body).toMatchObject({
      metrics: { f1: 0.5 },
    });
    for (const body of [{ state: 'ready' }, { digest: 'x' }, { version: 9 }, { tenant: 'a' }]) {
      expect((await patch('/versions/1', body)).status).toBe(422);
    }
    expect((await patch('', { lastVersion: 0 })).status).toBe(422);
    expect((await patch('', { description: { $gt: '' } })).status).toBe(422);
  });

  it.each([
    ['[]', 422],
    ['null', 422],
    ['{"__proto__":{"admin":true}}', 400],
    ['{"description":"a","description":"b"}', 400],
    ['{"description":"a"} x', 400],
    ['\ufeff{}', 400],
    ['{', 400],
  ])('answers the body %s with %d (97, 98, 100)', async (body, status) => {
    expect((await sendJson('PATCH', `${api}/models/${model}`, body)).status).toBe(status);
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
  });

  it('refuses bodies that are not JSON in UTF-8 (101)', async () => {
    for (const type of ['text/plain', 'application/json; charset=utf-7', 'application/xml']) {
      const headers = { 'Content-Type': type };
      const url = `${api}/models/${model}`;
      const response = await fetch(url, { method: 'PATCH', headers, body: '{}' });
      expect(response.status).toBe(415);
    }
  });

  it.each(['0', '-1', '1.5', 'abc', '1e3', '99999999999999999999', '$ne'])(
    'refuses %s as a version (90)',
    async (version) => {
      expect((await get(`/models/${model}/versions/${version}`)).status).toBe(422);
    },
  );

  it('says that a version or model does not exist', async () => {
    expect((await get(`/models/${model}/versions/99`)).body.code).toBe('version_not_found');
    expect((await get('/models/nothing')).body.code).toBe('model_not_found');
  });
});

describe('download', () => {
  const model = 'downloaded';
  const shard = Object.keys(v1).find((name) => name.endsWith('.bin')) ?? '';
  const bytes = v1[shard] ?? Buffer.alloc(0);
  let file: string;

  beforeAll(async () => {
    await upload(service.url, model, { ...v1 });
    file = `${api}/models/${model}/versions/1/files/${shard}`;
  });

  it('gives every file byte for byte, cacheable and open to browsers', async () => {
    for (const [path, content] of Object.entries(v1)) {
      const response = await fetch(`${api}/models/${model}/versions/1/files/${path}`);
      expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
      expect(response.headers.get('etag')).toBe(`"sha256:${sha256(content)}"`);
      expect(response.headers.get('access-control-allow-origin')).toBe('*');
      expect(response.headers.get('cache-control')).toContain('immutable');
    }
  });

  it.each([
    ['bytes=0-9', 0, 10],
    ['bytes=1000-1999', 1000, 2000],
    ['bytes=-5', -5, undefined],
    ['bytes=-999999999', 0, undefined],
    ['bytes=153000-', 153000, undefined],
  ])('gives the range %s', async (range, start, end) => {
    const response = await fetch(file, { headers: { Range: range } });

    expect(response.status).toBe(206);
    const expected = bytes.subarray(start, end);
    expect(Buffer.from(await response.arrayBuffer()).equals(expected)).toBe(true);
    expect(response.headers.get('content-range')).toContain(`/${bytes.length}`);
  });

  it('answers a range outside with 416, and a known ETag with 304', async () => {
    const outside = await fetch(file, { headers: { Range: 'bytes=999999999-' } });
    expect(outside.status).toBe(416);

    const etag = (await fetch(file)).headers.get('etag') ?? '';
    const known = await fetch(file, { headers: { 'If-None-Match': etag } });
    expect(known.status).toBe(304);
  });

  it('answers HEAD with the length and no body', async () => {
    const response = await fetch(file, { method: 'HEAD' });

    expect(response.headers.get('content-length')).toBe(String(bytes.length));
    expect(await response.text()).toBe('');
  });

  it('says which files there are when one is asked for that is not', async () => {
    const { status, body } = await get(`/models/${model}/versions/1/files/nothing.bin`);

    expect(status).toBe(404);
    expect(body.details.paths).toContain('model.json');
  });

  it('keeps sub-folders', async () => {
    const files = Object.fromEntries(
      Object.entries(v1).map(([path, c]) => [`web/model/${path}`, c]),
    );
    const { body } = await upload(service.url, 'in-folders', files);
    expect(body.state).toBe('ready');

    const response = await fetch(`${api}/models/in-folders/versions/1/files/web/model/model.json`);

    expect(Buffer.from(await response.arrayBuffer()).equals(v1['model.json'] ?? bytes)).toBe(true);
  });

  it('gives the whole version as a tar', async () => {
    const response = await fetch(`${api}/models/${model}/versions/1/archive`);
    const found: Record<string, Buffer> = {};
    const tar = extract();
    tar.end(Buffer.from(await response.arrayBuffer()));
    for await (const entry of tar) found[entry.header.name] = await buffer(entry);

    expect(found).toEqual(v1);
  });

  it('quarantines a version whose bytes were damaged, and the older one goes on (17)', async () => {
    const damaged = await twoVersions();
    await sendJson('PUT', `${api}/models/${damaged}/aliases/next`, { version: 2 });
    const doc = await service.db.collection('versions').findOne({ model: damaged, version: 2 });
    const target = doc?.['files'].find(({ path }: { path: string }) => path.endsWith('.bin'));
    await service.db.collection('artifacts.chunks').deleteOne({
      files_id: target.ref.segments[0].blob,
    });

    const { status, body } = await get(`/models/${damaged}/versions/2/files/${target.path}`);

    expect(status).toBe(500);
    expect(body.code).toBe('artifact_corrupt');
    expect((await get(`/models/${damaged}/versions/2`)).body.state).toBe('quarantined');
    expect((await get(`/models/${damaged}/versions/1`)).body.state).toBe('ready');
    expect((await get(`/models/${damaged}/versions/2/archive`)).status).toBe(409);
  });
});

describe('aliases', () => {
  const put = async (model: string, alias: string, body: unknown, headers = {}) =>
    await sendJson('PUT', `${api}/models/${model}/aliases/${alias}`, body, headers);
  const rollback = async (model: string, body: unknown) =>
    await sendJson('POST', `${api}/models/${model}/rollback`, body);

  it('points live at the first version by a recorded move', async () => {
    const model = await twoVersions();

    expect((await get(`/models/${model}/aliases/live/history`)).body.items).toEqual([
      expect.objectContaining({ version: 1, revision: 1, from: null, reason: 'first version' }),
    ]);
  });

  it('promotes and keeps who, when and why', async () => {
    const model = await twoVersions();

    const { status, body } = await put(model, 'live', { version: 2, reason: 'better' });

    expect(status).toBe(200);
    expect(body).toMatchObject({ alias: 'live', version: 2, revision: 2, reason: 'better' });
    expect(Date.parse(body.movedAt)).not.toBeNaN();
    expect((await get(`/models/${model}/versions/2`)).body.aliases).toEqual(['live']);
  });

  it('moves only from the revision that If-Match names (110)', async () => {
    const model = await twoVersions();

    const stale = await put(model, 'live', { version: 2 }, { 'If-Match': '"7"' });
    expect(stale.status).toBe(412);
    expect(stale.body.details).toMatchObject({ revision: 1, expected: 7 });
    expect(await live(model)).toBe(1);

    expect((await put(model, 'live', { version: 2 }, { 'If-Match': '"1"' })).status).toBe(200);
    expect((await put(model, 'live', { version: 1 }, { 'If-Match': 'x' })).status).toBe(400);
  });

  it('lets one of many racing moves with If-Match win, and keeps history linear', async () => {
    const model = await twoVersions();

    const answers = await Promise.all(
      Array.from(
        { length: 10 },
        async () => await put(model, 'live', { version: 2 }, { 'If-Match': '"1"' }),
      ),
    );

    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 412)).toHaveLength(9);
    const { items } = (await get(`/models/${model}/aliases/live/history`)).body;
    expect(items.map(({ revision }: { revision: number }) => revision)).toEqual([2, 1]);
  });

  it('takes racing moves without If-Match one after the other', async () => {
    const model = await twoVersions();

    const answers = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => await put(model, 'live', { version: (i % 2) + 1 })),
    );

    expect(answers.every(({ status }) => status === 200 || status === 409)).toBe(true);
    const { items } = (await get(`/models/${model}/aliases/live/history?limit=100`)).body;
    items.reverse().forEach((move: any, index: number) => {
      expect(move.revision).toBe(index + 1);
      if (index > 0) expect(move.from).toBe(items[index - 1].version);
    });
    const doc = await service.db.collection('versions').find({ model, pins: 'live' }).toArray();
    expect(doc.map(({ version }) => version)).toEqual([await live(model)]);
  });

  it('tells where an alias pointed at any time', async () => {
    const model = await twoVersions();
    const before = new Date().toISOString();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await put(model, 'live', { version: 2 });

    const at = async (time: string) => await get(`/models/${model}/aliases/live?at=${time}`);

    expect((await at(before)).body.version).toBe(1);
    expect((await at(new Date().toISOString())).body.version).toBe(2);
    expect((await at('2001-01-01T00:00:00Z')).status).toBe(404);
    expect((await at('99999-01-01')).status).toBe(400);
  });

  it('rolls back to the version before, and twice ends where it began', async () => {
    const model = await twoVersions();
    await put(model, 'live', { version: 2 });

    const first = await rollback(model, { alias: 'live', to: 'previous', reason: 'worse' });
    expect(first).toMatchObject({
      status: 200,
      body: { alias: 'live', from: 2, to: 1, revision: 3 },
    });

    const second = await rollback(model, { to: 'previous' });
    expect(second.body).toMatchObject({ from: 1, to: 2, revision: 4 });
  });

  it('rolls back to a version and to a time', async () => {
    const model = await twoVersions();
    const before = new Date().toISOString();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await put(model, 'live', { version: 2 });

    expect((await rollback(model, { to: { at: before } })).body).toMatchObject({ to: 1 });
    expect((await rollback(model, { to: 2 })).body).toMatchObject({ from: 1, to: 2 });
  });

  it('refuses targets that are unknown, nowhere or not understood, and moves nothing', async () => {
    const model = await twoVersions();

    expect((await rollback(model, { to: 9 })).status).toBe(404);
    expect((await rollback(model, { alias: 'nothing', to: 1 })).status).toBe(404);
    expect((await rollback('nothing', { to: 1 })).status).toBe(404);
    expect((await rollback(model, { to: 'previous' })).status).toBe(409);
    for (const to of [
      ...['first', 0, -1, 1.5, null, [1]],
      ...[
        { at: 'x' },
        { $gt: 0 },
        { at: '2099' },
        { at: '2026-02-30' },
        { at: '2026-01-01T00:00:00' },
      ],
    ]) {
      expect((await rollback(model, { to })).status).toBe(422);
    }
    expect(await live(model)).toBe(1);
  });

  it('refuses a damaged target with 409 and moves nothing (19)', async () => {
    const model = await twoVersions();
    await put(model, 'live', { version: 2 });
    const doc = await service.db.collection('versions').findOne({ model, version: 1 });
    const target = doc?.['files'].find(({ path }: { path: string }) => path.endsWith('.bin'));
    await service.db.collection('artifacts.chunks').deleteOne({
      files_id: target.ref.segments[0].blob,
    });

    const { status, body } = await rollback(model, { to: 'previous' });

    expect(status).toBe(409);
    expect(body.code).toBe('target_unfit');
    expect(await live(model)).toBe(2);
  });

  it('refuses a version whose document was altered behind its back (32, 33)', async () => {
    const model = await twoVersions();
    await service.db
      .collection('versions')
      .updateOne({ model, version: 2 }, { $set: { labels: ['forged'] } });

    expect((await put(model, 'live', { version: 2 })).status).toBe(409);
    expect(await live(model)).toBe(1);
  });

  it.each(['latest', 'v1', 'V2', '1a', 'a b', 'a'.repeat(65), '$gt'])(
    'refuses %j as an alias',
    async (alias) => {
      const model = await twoVersions();

      expect((await put(model, encodeURIComponent(alias), { version: 1 })).status).toBe(422);
    },
  );

  it('takes an alias away, keeps its history and goes on counting', async () => {
    const model = await twoVersions();
    await put(model, 'canary', { version: 2 });

    const removed = await sendJson('DELETE', `${api}/models/${model}/aliases/canary`);
    expect(removed.status).toBe(204);
    expect((await get(`/models/${model}/aliases/canary`)).status).toBe(404);

    expect((await put(model, 'canary', { version: 1 })).body.revision).toBe(3);
    const { items } = (await get(`/models/${model}/aliases/canary/history`)).body;
    expect(items.map(({ version }: { version: number | null }) => version)).toEqual([1, null, 2]);
  });
});

describe('delete', () => {
  it('refuses a version that an alias holds, naming the alias (24)', async () => {
    const model = await twoVersions();

    const { status, body } = await sendJson('DELETE', `${api}/models/${model}/versions/1`);

    expect(status).toBe(409);
    expect(body.details.aliases).toEqual(['live']);
  });

  it('frees the bytes of a version and never gives its number again', async () => {
    const model = freshModel();
    const notes = { 'notes.txt': randomBytes(5000) };
    await upload(service.url, model, v1);
    await upload(service.url, model, { ...v1, ...notes });
    const doc = await service.db.collection('versions').findOne({ model, version: 2 });
    const own = doc?.['files'].find(({ path }: { path: string }) => path === 'notes.txt');
    const [{ blob }] = own.ref.segments;
    const blobs = async (ids: ObjectId[]) => ({
      chunks: await service.db
        .collection('artifacts.chunks')
        .countDocuments({ files_id: { $in: ids } }),
      files: await service.db.collection('artifacts.files').countDocuments({ _id: { $in: ids } }),
    });
    expect(await blobs([blob])).toEqual({ chunks: 1, files: 1 });

    expect(await deleteOnceUnread(`${api}/models/${model}/versions/2`)).toBe(204);

    expect((await get(`/models/${model}/versions/2`)).status).toBe(404);
    expect(await blobs([blob])).toEqual({ chunks: 0, files: 0 });
    // What the other version has as well stays.
    const shared = doc?.['blobs'].filter((id: ObjectId) => !id.equals(blob));
    expect(await blobs(shared)).toEqual({ chunks: shared.length, files: shared.length });
    expect((await upload(service.url, model, v2)).body).toMatchObject({ version: 3 });
  });

  it('deletes a model only when nothing is aliased, and starts anew but for the numbers', async () => {
    const model = await twoVersions();
    const remove = async (path: string) =>
      await sendJson('DELETE', `${api}/models/${model}${path}`);
    expect((await remove('')).status).toBe(409);

    expect((await remove('/aliases/live')).status).toBe(204);
    expect(await deleteOnceUnread(`${api}/models/${model}`)).toBe(204);
    expect((await get(`/models/${model}`)).status).toBe(404);

    expect((await upload(service.url, model, v1)).body).toMatchObject({
      version: 3,
      aliases: ['live'],
    });
  });

  it('never takes away what live points at, however moves raced before (25)', async () => {
    const model = freshModel();
    for (const label of ['a', 'b', 'c']) {
      await upload(service.url, model, v1, { metadata: { labels: Array(10).fill(label) } });
    }
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        Array.from(
          { length: 12 },
          async (_, i) =>
            await sendJson('PUT', `${api}/models/${model}/aliases/live`, { version: (i % 3) + 1 }),
        ),
      );
      const version = await live(model);

      const removed = await sendJson('DELETE', `${api}/models/${model}/versions/${version}`);

      expect(removed.status).toBe(409);
      const pinned = await service.db
        .collection('versions')
        .find({ model, pins: 'live' })
        .toArray();
      expect(pinned.map((doc) => doc['version'])).toEqual([version]);
    }
  });

  it('of a model leaves no version behind that an upload was told of', async () => {
    for (let round = 0; round < 8; round++) {
      const model = freshModel();
      const [removed, ...uploads] = await Promise.all([
        (async () => {
          await new Promise((resolve) => setTimeout(resolve, round * 15));
          return await sendJson('DELETE', `${api}/models/${model}`);
        })(),
        upload(service.url, model, v1),
        upload(service.url, model, v2),
      ]);

      const ready = await service.db
        .collection('versions')
        .countDocuments({ model, state: { $in: ['ready', 'pending', 'verifying'] } });
      const accepted = uploads.filter(({ status }) => status === 201).length;
      expect([204, 404, 409]).toContain(removed.status);
      if (ready > 0) expect((await get(`/models/${model}`)).status).toBe(200);
      expect(ready).toBe(accepted);
    }
  });

  it('lets a damaged version be uploaded again, as a new one', async () => {
    const model = freshModel();
    await upload(service.url, model, v1);
    const doc = await service.db.collection('versions').findOne({ model, version: 1 });
    const target = doc?.['files'].find(({ path }: { path: string }) => path.endsWith('.bin'));
    await service.db.collection('artifacts.chunks').deleteOne({
      files_id: target.ref.segments[0].blob,
    });
    expect((await get(`/models/${model}/versions/1/files/${target.path}`)).status).toBe(500);

    const { status, body } = await upload(service.url, model, v1);

    expect([status, body.version, body.state]).toEqual([201, 2, 'ready']);
  });

  it('never lets an alias point at a version that is being deleted (25)', async () => {
    for (let round = 0; round < 15; round++) {
      const model = freshModel();
      await upload(service.url, model, v1);
      await upload(service.url, model, v2);

      const [moved, removed] = await Promise.all([
        sendJson('PUT', `${api}/models/${model}/aliases/canary`, { version: 2 }),
        sendJson('DELETE', `${api}/models/${model}/versions/2`),
      ]);

      const { aliases } = (await get(`/models/${model}`)).body;
      const doc = await service.db.collection('versions').findOne({ model, version: 2 });
      expect([moved.status, removed.status]).not.toEqual([200, 204]);
      if (aliases.canary === 2) expect(doc?.['state']).toBe('ready');
      else expect(moved.status).not.toBe(200);
    }
  });
});

describe('the API at large', () => {
  it('describes itself completely', async () => {
    const { body } = await get('/openapi.json');

    expect(body.openapi).toMatch(/^3\./);
    for (const [path, operations] of Object.entries<Record<string, any>>(body.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        expect(`${method} ${path}: ${operation.summary ?? ''}`).toMatch(/: .+/);
        expect(Object.keys(operation.responses).length).toBeGreaterThan(0);
      }
    }
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining([
        '/api/models/{model}/versions',
        '/api/models/{model}/rollback',
        '/api/models/{model}/aliases/{alias}',
        '/health/ready',
      ]),
    );
  });

  it('answers unknown routes, odd methods and broken paths in the one error shape (102)', async () => {
    for (const [method, path] of [
      ['GET', '/nothing'],
      ['POST', '/api/nothing'],
      ['PUT', '/api/models'],
      ['GET', '/api/models/%E0%A4%A'],
      ['DELETE', '/health/live'],
    ] as const) {
      const { status, body } = await sendJson(method, `${service.url}${path}`);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
      expect(body).toEqual({
        error: expect.any(String),
        code: expect.any(String),
        details: expect.any(Object),
        requestId: expect.any(String),
      });
    }
  });

  it('carries the request id of the caller, or one of its own', async () => {
    const given = await sendJson('GET', `${api}/nothing`, undefined, { 'X-Request-Id': 'abc-1' });
    expect(given.headers.get('x-request-id')).toBe('abc-1');
    expect(given.body.requestId).toBe('abc-1');

    const odd = await sendJson('GET', `${api}/nothing`, undefined, { 'X-Request-Id': 'a b' });
    expect(odd.body.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });
});
