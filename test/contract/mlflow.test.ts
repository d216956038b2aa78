import { request as httpRequest } from 'node:http';

import { ObjectId } from 'mongodb';

import { SERVICE_VERSION } from '../../src/common/service-version';
import { StagedArtifactsStore } from '../../src/protocols/mlflow/staged-artifacts.store';
import { bootService, type BootedService } from '../support/boot';
import { forgeOnnx } from '../support/forged-onnx';
import { findViolations } from '../support/invariants';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;
const digits = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_DELETE_GRACE_MS: '0' });
});
afterAll(async () => {
  await service.close();
});

const registry = async (method: string, path: string, fields: Record<string, unknown> = {}) => {
  const url = `${service.url}/api/2.0/mlflow/${path}`;
  if (method !== 'GET') return await sendJson(method, url, fields);
  const query = new URLSearchParams(fields as Record<string, string>);
  return await sendJson('GET', `${url}?${query.toString()}`);
};

/** A path as it stands on the line: no client tidies it up. */
const rawStatus = async (method: string, path: string): Promise<string> =>
  await new Promise((resolve, reject) => {
    const { hostname, port } = new URL(service.url);
    httpRequest({ hostname, port, method, path }, (response) => {
      let text = '';
      response.on('data', (piece: Buffer) => (text += piece.toString()));
      response.on('end', () => {
        const { error_code = 'none' } = JSON.parse(text || '{}') as { error_code?: string };
        resolve(`${response.statusCode ?? 0} ${error_code}`);
      });
    })
      .on('error', reject)
      .end();
  });

const ARTIFACTS = '/api/2.0/mlflow-artifacts/artifacts';

describe('registered models', () => {
  it('are made without a version, shown, described and deleted', async () => {
    const made = await registry('POST', 'registered-models/create', {
      name: 'empty',
      description: 'nothing yet',
      tags: [{ key: 'a.b', value: '$x' }],
      some_later_field: { ignored: true },
    });
    expect(made.status).toBe(200);
    expect(made.body).toEqual({
      registered_model: {
        name: 'empty',
        creation_timestamp: expect.any(Number),
        last_updated_timestamp: expect.any(Number),
        user_id: '',
        description: 'nothing yet',
        latest_versions: [],
        tags: [{ key: 'a.b', value: '$x' }],
        aliases: [],
      },
    });
    expect((await registry('GET', 'registered-models/get', { name: 'empty' })).body).toEqual(
      made.body,
    );
    const described = await registry('PATCH', 'registered-models/update', {
      name: 'empty',
      description: 'soon',
    });
    expect(described.body.registered_model).toMatchObject({ description: 'soon' });
    expect((await registry('DELETE', 'registered-models/delete', { name: 'empty' })).body).toEqual(
      {},
    );
    const anew = await registry('POST', 'registered-models/create', { name: 'empty' });
    expect(anew.body.registered_model).toMatchObject({ description: '', tags: [] });
  });

  it('keep the tags that others set meanwhile', async () => {
    await registry('POST', 'registered-models/create', { name: 'tagged' });
    const tag = { name: 'tagged', key: 'mlflow.note', value: 'first' };
    await Promise.all(
      ['a', 'b', 'c'].map(
        async (key) =>
          await registry('POST', 'registered-models/set-tag', { ...tag, key, value: `$${key}` }),
      ),
    );
    await registry('POST', 'registered-models/set-tag', tag);
    await registry('POST', 'registered-models/set-tag', { ...tag, value: '' });
    await registry('DELETE', 'registered-models/delete-tag', { name: 'tagged', key: 'b' });
    const { body } = await registry('GET', 'registered-models/get', { name: 'tagged' });
    const tags = body.registered_model.tags as { key: string; value: string }[];
    expect(tags.toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual([
      { key: 'a', value: '$a' },
      { key: 'c', value: '$c' },
      { key: 'mlflow.note', value: '' },
    ]);
  });

  it('take a hundred tags and no more', async () => {
    const tags = Array.from({ length: 100 }, (_, at) => ({ key: `t${at}`, value: '' }));
    await registry('POST', 'registered-models/create', { name: 'full', tags });
    const set = async (key: string) =>
      await registry('POST', 'registered-models/set-tag', { name: 'full', key, value: 'x' });
    expect((await set('t7')).body).toEqual({});
    expect((await set('t100')).body.error_code).toBe('INVALID_PARAMETER_VALUE');
  });

  it.each<[string, string, Record<string, unknown>, number, string]>([
    ['POST', 'registered-models/create', { name: 'digits' }, 400, 'RESOURCE_ALREADY_EXISTS'],
    ['POST', 'registered-models/create', {}, 400, 'INVALID_PARAMETER_VALUE'],
    ['POST', 'registered-models/create', { name: 'a/b' }, 400, 'INVALID_PARAMETER_VALUE'],
    ['POST', 'registered-models/create', { name: 'a', tags: 7 }, 400, 'INVALID_PARAMETER_VALUE'],
    ['GET', 'registered-models/get', { name: 'nobody' }, 404, 'RESOURCE_DOES_NOT_EXIST'],
    ['PATCH', 'registered-models/update', { name: 'nobody' }, 404, 'RESOURCE_DOES_NOT_EXIST'],
    ['DELETE', 'registered-models/delete', { name: 'nobody' }, 404, 'RESOURCE_DOES_NOT_EXIST'],
    ['POST', 'registered-models/rename', { name: 'digits', new_name: 'd' }, 501, 'NOT_IMPLEMENTED'],
    [
      'POST',
      'registered-models/set-tag',
      { name: 'nobody', key: 'a', value: 'b' },
      404,
      'RESOURCE_DOES_NOT_EXIST',
    ],
    [
      'POST',
      'registered-models/set-tag',
      { name: 'digits', key: '__proto__', value: 'b' },
      400,
      'INVALID_PARAMETER_VALUE',
    ],
    [
      'POST',
      'registered-models/alias',
      { name: 'digits', alias: 'Latest', version: '1' },
      400,
      'INVALID_PARAMETER_VALUE',
    ],
    [
      'POST',
      'registered-models/alias',
      { name: 'digits', alias: 'v1', version: '1' },
      400,
      'INVALID_PARAMETER_VALUE',
    ],
    [
      'GET',
      'registered-models/alias',
      { name: 'digits', alias: 'nobody' },
      404,
      'RESOURCE_DOES_NOT_EXIST',
    ],
    ['GET', 'model-versions/get', { name: 'digits', version: 'x' }, 400, 'INVALID_PARAMETER_VALUE'],
    ['GET', 'model-versions/get', { name: 'digits', version: '9' }, 404, 'RESOURCE_DOES_NOT_EXIST'],
    [
      'POST',
      'model-versions/transition-stage',
      { name: 'digits', version: '1', stage: 'Production' },
      501,
      'NOT_IMPLEMENTED',
    ],
    ['POST', 'experiments/create', { name: 'e' }, 404, 'ENDPOINT_NOT_FOUND'],
    ['GET', 'runs/get', { run_id: 'r' }, 404, 'ENDPOINT_NOT_FOUND'],
  ])('refuses %s %s of %j', async (method, path, fields, status, code) => {
    const answered = await registry(method, path, fields);
    expect([answered.status, answered.body.error_code]).toEqual([status, code]);
    expect(Object.keys(answered.body as object).sort()).toEqual(['error_code', 'message']);
    expect(answered.body.message).toMatch(/\w+ \w+/);
  });

  it('reads JSON whatever its type says, and refuses what is none', async () => {
    const url = `${service.url}/api/2.0/mlflow/registered-models/set-tag`;
    const body = '{"name":"digits","key":"form","value":"yes"}';
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    expect((await sendJson('POST', url, body, form)).body).toEqual({});
    const broken = await sendJson('POST', url, '{"name":');
    expect([broken.status, broken.body.error_code]).toEqual([400, 'BAD_REQUEST']);
  });
});

beforeAll(async () => {
  expect((await upload(service.url, 'digits', digits)).status).toBe(201);
});

describe('versions', () => {
  it('are what was published, with aliases and tags', async () => {
    await registry('POST', 'registered-models/alias', {
      name: 'digits',
      alias: 'champion',
      version: 1,
    });
    await registry('POST', 'model-versions/set-tag', {
      name: 'digits',
      version: '1',
      key: 'validation.status',
      value: 'ok',
    });
    await registry('PATCH', 'model-versions/update', {
      name: 'digits',
      version: '1',
      description: 'the first',
    });
    const { body } = await registry('GET', 'model-versions/get', { name: 'digits', version: '1' });
    expect(body).toEqual({
      model_version: {
        name: 'digits',
        version: '1',
        creation_timestamp: expect.any(Number),
        last_updated_timestamp: expect.any(Number),
        user_id: '',
        current_stage: 'None',
        description: 'the first',
        source: 'mlflow-artifacts:/registered-models/digits/1',
        run_id: '',
        run_link: '',
        status: 'READY',
        status_message: '',
        tags: [{ key: 'validation.status', value: 'ok' }],
        aliases: ['champion', 'live'],
      },
    });
    const byAlias = await registry('GET', 'registered-models/alias', {
      name: 'digits',
      alias: 'champion',
    });
    expect(byAlias.body).toEqual(body);
    const newest = { name: 'digits', alias: 'latest' };
    expect((await registry('GET', 'registered-models/alias', newest)).body).toEqual(body);
    const model = (await registry('GET', 'registered-models/get', { name: 'digits' })).body;
    expect(model.registered_model.aliases).toEqual([
      { alias: 'champion', version: '1' },
      { alias: 'live', version: '1' },
    ]);
    expect(model.registered_model.latest_versions).toEqual([body.model_version]);
    for (const [stages, found] of [
      [[], 1],
      [['None'], 1],
      [['Production'], 0],
    ] as const) {
      const latest = await registry('POST', 'registered-models/get-latest-versions', {
        name: 'digits',
        stages,
      });
      expect(latest.body.model_versions).toHaveLength(found);
    }
    await registry('DELETE', 'registered-models/alias', { name: 'digits', alias: 'champion' });
    const again = { name: 'digits', alias: 'champion' };
    expect((await registry('DELETE', 'registered-models/alias', again)).body).toEqual({});
  });

  it('are listed folder by folder and downloaded byte for byte', async () => {
    const { body } = await registry('GET', 'model-versions/get-download-uri', {
      name: 'digits',
      version: '1',
    });
    expect(body).toEqual({ artifact_uri: 'mlflow-artifacts:/registered-models/digits/1' });
    const list = async (path: string) =>
      await sendJson('GET', `${service.url}${ARTIFACTS}?path=${encodeURIComponent(path)}`);
    const root = await list('registered-models/digits/1');
    expect(root.body.files).toEqual(
      Object.entries(digits)
        .map(([path, { length }]) => ({ path, is_dir: false, file_size: length }))
        .sort((a, b) => (a.path < b.path ? -1 : 1)),
    );
    expect((await list('registered-models/digits/1/model.json')).body).toEqual({ files: [] });
    expect((await list('registered-models/digits')).body.error_code).toBe(
      'INVALID_PARAMETER_VALUE',
    );
    for (const [path, content] of Object.entries(digits)) {
      const file = await fetch(`${service.url}${ARTIFACTS}/registered-models/digits/1/${path}`);
      const natively = await fetch(`${service.url}/api/models/digits/versions/1/files/${path}`);
      expect(Buffer.from(await file.arrayBuffer()).equals(content)).toBe(true);
      for (const header of ['etag', 'content-length', 'content-type']) {
        expect(file.headers.get(header)).toBe(natively.headers.get(header));
      }
      await natively.arrayBuffer();
    }
    const missing = await fetch(`${service.url}${ARTIFACTS}/registered-models/digits/1/none`);
    expect(await missing.json()).toMatchObject({ error_code: 'RESOURCE_DOES_NOT_EXIST' });
  });

  it.each([
    '../x',
    'a/../../x',
    '%2e%2e/x',
    'a/%2e%2e/x',
    'a%2f..%2fx',
    '%252e%252e/x',
    '%252e%252e%252fx',
    '..%5cx',
    'a%00b',
    '/etc/passwd',
    '%2fetc/passwd',
    'C:/x',
    'file:%2f%2fx',
    'a//b',
    'registered-models/digits/1/../../x',
  ])('are not left by the path %s', async (path) => {
    const refused = '400 INVALID_PARAMETER_VALUE';
    expect(await rawStatus('GET', `${ARTIFACTS}/${path}`)).toBe(refused);
    expect(await rawStatus('GET', `${ARTIFACTS}?path=${path}`)).toBe(refused);
  });

  it('go with the aliases that point at them, whose history stays', async () => {
    await upload(service.url, 'going', digits);
    const gone = await registry('DELETE', 'model-versions/delete', { name: 'going', version: '1' });
    expect([gone.status, gone.body]).toEqual([200, {}]);
    const after = await registry('GET', 'model-versions/get', { name: 'going', version: '1' });
    expect(after.body.error_code).toBe('RESOURCE_DOES_NOT_EXIST');
    const history = await sendJson('GET', `${service.url}/api/models/going/aliases/live/history`);
    expect(history.body.items.map(({ kind }: { kind: string }) => kind)).toEqual([
      'remove',
      'first',
    ]);
    await upload(service.url, 'going', digits);
    expect((await registry('DELETE', 'registered-models/delete', { name: 'going' })).body).toEqual(
      {},
    );
  });
});

const put = async (
  path: string,
  content: Uint8Array,
  type = 'application/json',
): Promise<{ status: number; body: any }> => {
  const url = `${service.url}${ARTIFACTS}/${path}`;
  const headers = { 'Content-Type': type };
  const response = await fetch(url, { method: 'PUT', headers, body: Uint8Array.from(content) });
  return { status: response.status, body: await response.json() };
};
const list = async (path: string) =>
  await sendJson('GET', `${service.url}${ARTIFACTS}?path=${encodeURIComponent(path)}`);

describe('the artifact proxy', () => {
  it('keeps what is put, replaces it, lists it by folders, and deletes it', async () => {
    const large = Buffer.alloc(2_500_000, 'gridstow');
    expect(await put('runs/7/model/MLmodel', Buffer.from('first'))).toEqual({
      status: 200,
      body: {},
    });
    await put('runs/7/model/MLmodel', Buffer.from('{"not":"parsed"'));
    await put('runs/7/model/data/large.bin', large);
    await put('runs/7/model/empty', Buffer.alloc(0));
    expect((await list('runs/7/model')).body.files).toEqual([
      { path: 'MLmodel', is_dir: false, file_size: 15 },
      { path: 'data', is_dir: true },
      { path: 'empty', is_dir: false, file_size: 0 },
    ]);
    expect((await list('runs/7/model/MLmodel')).body.files).toEqual([]);
    expect((await list('')).body.files).toContainEqual({ path: 'runs', is_dir: true });
    const got = await fetch(`${service.url}${ARTIFACTS}/runs/7/model/data/large.bin`);
    expect(got.headers.get('content-length')).toBe(String(large.length));
    expect(Buffer.from(await got.arrayBuffer()).equals(large)).toBe(true);
    const folder = `${service.url}${ARTIFACTS}/runs/7`;
    expect((await sendJson('DELETE', folder)).body).toEqual({});
    expect((await sendJson('DELETE', folder)).body.error_code).toBe('RESOURCE_DOES_NOT_EXIST');
    expect(await service.db.collection('staged.chunks').countDocuments()).toBe(0);
    expect(await service.db.collection('staged.files').countDocuments()).toBe(0);
  });

  it('refuses to change what belongs to versions, and paths that climb', async () => {
    const mine = await put('registered-models/digits/1/model.json', Buffer.from('{}'));
    expect([mine.status, mine.body.error_code]).toEqual([403, 'PERMISSION_DENIED']);
    const url = `${service.url}${ARTIFACTS}/registered-models/digits/1/model.json`;
    expect((await sendJson('DELETE', url)).body.error_code).toBe('PERMISSION_DENIED');
    for (const path of ['..%2fx', 'a/%2e%2e/%2e%2e/x', 'a%00', '%252e%252e/x', '%2fetc/x']) {
      for (const method of ['PUT', 'DELETE']) {
        expect(await rawStatus(method, `${ARTIFACTS}/${path}`)).toBe('400 INVALID_PARAMETER_VALUE');
      }
    }
  });

  it('says that files come in one piece in the words that make clients send them so', async () => {
    for (const step of ['create', 'complete', 'abort']) {
      const { status, body } = await sendJson(
        'POST',
        `${service.url}/api/2.0/mlflow-artifacts/mpu/${step}/runs/7/x`,
        { path: 'x', num_parts: 2 },
      );
      expect([status, body.error_code]).toEqual([501, 'NOT_IMPLEMENTED']);
      expect(body.message).toMatch(
        /^Multipart upload is not supported for the current artifact repository/,
      );
    }
  });

  it('forgets what nobody registered, but not what is being registered', async () => {
    await put('old/a', Buffer.from('a'));
    await put('held/b', Buffer.from('b'));
    const store = service.service.app.get(StagedArtifactsStore);
    const [held] = await store.hold('held');
    await put('held/b', Buffer.from('newer'));
    const files = service.db.collection('staged.files');
    await files.updateMany({}, { $set: { uploadDate: new Date(0) } });
    expect(await store.sweep()).toBe(2);
    expect((await list('')).body.files).toEqual([]);
    const read: Uint8Array[] = [];
    for await (const piece of store.open(held!)) read.push(piece);
    expect(Buffer.concat(read).toString()).toBe('b');
    await files.updateMany({}, { $set: { 'metadata.heldUntil': new Date(0) } });
    expect(await store.sweep()).toBe(1);
    expect(await service.db.collection('staged.chunks').countDocuments()).toBe(0);
  });

  it('removes chunks that never became a file, when no upload can be writing them', async () => {
    const chunks = service.db.collection('staged.chunks');
    const old = ObjectId.createFromTime(1_000_000_000);
    await chunks.insertMany([old, new ObjectId()].map((id) => ({ files_id: id, n: 0 })));
    await service.service.app.get(StagedArtifactsStore).sweep();
    expect(await chunks.countDocuments({ files_id: old })).toBe(0);
    expect(await chunks.countDocuments()).toBe(1);
  });
});

const created = async (name: string, source: string, more: Record<string, unknown> = {}) => {
  await registry('POST', 'registered-models/create', { name });
  return await registry('POST', 'model-versions/create', { name, source, ...more });
};
const settled = async (name: string, version: string): Promise<any> => {
  for (;;) {
    const { body } = await registry('GET', 'model-versions/get', { name, version });
    if (body.model_version.status !== 'PENDING_REGISTRATION') return body.model_version;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

describe('a version that is created', () => {
  const MLMODEL = Buffer.from('artifact_path: model\nflavors:\n  python_function: {}\n');

  it('is the MLflow folder as it was put, served by the model in it', async () => {
    await put('runs/1/model/MLmodel', MLMODEL);
    for (const [path, content] of Object.entries(digits)) {
      await put(`runs/1/model/data/${path}`, content, 'application/octet-stream');
    }
    const source = 'mlflow-artifacts:/runs/1/model';
    const { status, body } = await created('folder', source, {
      run_id: 'r1',
      run_link: 'http://runs/1',
      description: 'from a folder',
      tags: [{ key: 'stage.of.life', value: 'young' }],
    });
    expect([status, body.error_code]).toEqual([200, undefined]);
    expect(body.model_version.version).toBe('1');
    expect(await settled('folder', '1')).toMatchObject({
      status: 'READY',
      source,
      run_id: 'r1',
      run_link: 'http://runs/1',
      description: 'from a folder',
      tags: [{ key: 'stage.of.life', value: 'young' }],
      aliases: ['live'],
    });
    const paths = ['MLmodel', ...Object.keys(digits).map((path) => `data/${path}`)].sort();
    const natively = await sendJson('GET', `${service.url}/api/models/folder/versions/1`);
    expect(natively.body).toMatchObject({ format: 'tfjs-layers', state: 'ready' });
    const uploaded = (natively.body.files as { path: string }[]).map(({ path }) => path);
    expect(uploaded.filter((path) => !path.startsWith('.'))).toEqual(paths);

    const again = await created('folder', `${service.url}${ARTIFACTS}/runs/1/model`);
    expect(again.body.model_version).toMatchObject({ version: '1', status: 'READY' });
    const copy = await created('copied', 'models:/folder/1');
    expect(copy.body.model_version).toMatchObject({ source: 'models:/folder/1' });
    expect(await settled('copied', '1')).toMatchObject({ status: 'READY' });
    const copied = await sendJson('GET', `${service.url}/api/models/copied/versions/1`);
    expect(copied.body.digest).toBe(natively.body.digest);
    expect(await findViolations(service.db)).toEqual([]);
  });

  it('is opaque when nothing in the folder can be served', async () => {
    await put('runs/2/model/MLmodel', MLMODEL);
    await put('runs/2/model/model.pkl', Buffer.from('\x80\x04K\x01.', 'latin1'));
    await created('pickle', 'mlflow-artifacts:/runs/2/model');
    expect(await settled('pickle', '1')).toMatchObject({ status: 'READY' });
    const { body } = await sendJson('GET', `${service.url}/api/models/pickle/versions/1`);
    expect(body.format).toBe('opaque');
  });

  it('says in its status why it failed, once it has a number', async () => {
    // Passes the inspection, and no engine can load it.
    const model = JSON.parse(String(digits['model.json']));
    const layers = model.modelTopology.model_config.config.layers as any[];
    layers.find(({ class_name }) => class_name === 'Conv2D').config.padding = 'sideways';
    for (const [path, content] of Object.entries(digits))
      await put(`runs/3/model/${path}`, content);
    await put('runs/3/model/model.json', Buffer.from(JSON.stringify(model)));
    const { status, body } = await created('failing', 'mlflow-artifacts:/runs/3/model');
    expect([status, body.error_code]).toEqual([200, undefined]);
    const failed = await settled('failing', '1');
    expect(failed.status).toBe('FAILED_REGISTRATION');
    expect(failed.status_message).toMatch(/\w+ \w+/);
  });

  it.each([
    ['mlflow-artifacts:/nowhere', 'INVALID_PARAMETER_VALUE'],
    ['mlflow-artifacts:/', 'INVALID_PARAMETER_VALUE'],
    ['mlflow-artifacts:/a/../../b', 'INVALID_PARAMETER_VALUE'],
    ['mlflow-artifacts://elsewhere:80/a', 'INVALID_PARAMETER_VALUE'],
    ['mlflow-artifacts:/registered-models', 'INVALID_PARAMETER_VALUE'],
    ['models:/nobody/1', 'RESOURCE_DOES_NOT_EXIST'],
    ['file:///etc', 'INVALID_PARAMETER_VALUE'],
    ['/etc/passwd', 'INVALID_PARAMETER_VALUE'],
    ['s3://bucket/a', 'INVALID_PARAMETER_VALUE'],
    ['', 'INVALID_PARAMETER_VALUE'],
  ])('is refused from %s', async (source, code) => {
    const { body } = await created('refused', source);
    expect(body.error_code).toBe(code);
    const { body: model } = await registry('GET', 'registered-models/get', { name: 'refused' });
    expect(model.registered_model.latest_versions).toEqual([]);
  });

  it('needs a registered model, and one that is sound', async () => {
    const fields = { name: 'unregistered', source: 'mlflow-artifacts:/runs/1/model' };
    const { body } = await registry('POST', 'model-versions/create', fields);
    expect(body.error_code).toBe('RESOURCE_DOES_NOT_EXIST');
    await put('runs/4/model/model.json', Buffer.from('{"modelTopology": '));
    const broken = await created('broken', 'mlflow-artifacts:/runs/4/model');
    expect([broken.status, broken.body.error_code]).toEqual([400, 'INVALID_PARAMETER_VALUE']);
    expect(broken.body.message).toMatch(/model\.json/);
  });
});

describe('a search', () => {
  beforeAll(async () => {
    for (const [name, team] of [
      ['find-c', 'x'],
      ['find-a', 'x'],
      ['find-b', 'y'],
    ]) {
      const tags = [{ key: 'my.team', value: team }];
      await registry('POST', 'registered-models/create', { name, tags });
    }
    await registry('POST', 'registered-models/create', {
      name: 'find-prompt',
      tags: [{ key: 'mlflow.prompt.is_prompt', value: 'true' }],
    });
    for (const [name, run, at] of [
      ['find-a', 'run-1', 1],
      ['find-a', 'run-2', 2],
      ['find-b', 'run-2', 3],
    ] as const) {
      await put(`find/${at}/note.txt`, Buffer.from(`note ${at}`));
      const source = `mlflow-artifacts:/find/${at}`;
      await created(name, source, { run_id: run, tags: [{ key: 'at', value: String(at) }] });
    }
    await settled('find-b', '1');
    await settled('find-a', '2');
  });
  const models = async (filter: string, more: Record<string, unknown> = {}) => {
    const fields = { filter, ...more };
    const { body } = await registry('GET', 'registered-models/search', fields);
    return (body.registered_models as { name: string }[]).map(({ name }) => name);
  };
  const versions = async (filter: string, more: Record<string, unknown> = {}) => {
    const { body } = await registry('GET', 'model-versions/search', { filter, ...more });
    return (body.model_versions as any[]).map(({ name, version }) => `${name}/${version}`);
  };

  it.each([
    ["name LIKE 'find-%'", ['find-a', 'find-b', 'find-c', 'find-prompt']],
    ["name ILIKE 'FIND-_'", ['find-a', 'find-b', 'find-c']],
    ["name LIKE 'FIND-_'", []],
    ["name != 'find-a' AND name LIKE 'find-_'", ['find-b', 'find-c']],
    ["tags.`my.team` = 'x'", ['find-a', 'find-c']],
    ["tag.my.team != 'x'", ['find-b']],
    [
      "name LIKE 'find-%' AND tag.`mlflow.prompt.is_prompt` != 'true'",
      ['find-a', 'find-b', 'find-c'],
    ],
    ["tags.`mlflow.prompt.is_prompt` = 'true'", ['find-prompt']],
    ["name LIKE 'find.a'", []],
    ["name = '$name'", []],
  ])('finds models by %s', async (filter, expected) => {
    expect(await models(filter)).toEqual(expected);
  });

  it.each([
    ["name = 'find-a'", ['find-a/2', 'find-a/1']],
    ["run_id IN ('run-2', 'run-9')", ['find-a/2', 'find-b/1']],
    ["run_id NOT IN ('run-2') AND name IN ('find-a')", ['find-a/1']],
    ["source_path LIKE '%/find/3'", ['find-b/1']],
    ["source_path = 'mlflow-artifacts:/registered-models/digits/1'", ['digits/1']],
    ["tags.at = '2'", ['find-a/2']],
    ["version_number > 1 AND name LIKE 'find-%'", ['find-a/2']],
  ])('finds versions by %s', async (filter, expected) => {
    expect(await versions(filter)).toEqual(expected);
  });

  it('gives the newest ready version along, and orders in any way', async () => {
    const { body } = await registry('GET', 'registered-models/search', {
      filter: "name LIKE 'find-_'",
      order_by: 'creation_timestamp DESC',
    });
    const latest = (body.registered_models as any[]).map((model) => [
      model.name,
      model.latest_versions.map(({ version }: { version: string }) => version),
    ]);
    expect(latest).toEqual([
      ['find-b', ['1']],
      ['find-a', ['2']],
      ['find-c', []],
    ]);
    const filter = "name LIKE 'find-%'";
    expect(await versions(filter, { order_by: 'last_updated_timestamp ASC' })).toEqual([
      'find-a/1',
      'find-a/2',
      'find-b/1',
    ]);
  });

  it('goes on page by page, in an order of several fields, without gaps', async () => {
    const asked = { filter: "name LIKE 'find-%'", max_results: 1 };
    const url = new URL(`${service.url}/api/2.0/mlflow/model-versions/search`);
    const order = ['version_number DESC', 'name'];
    const found: string[] = [];
    for (let token = ''; found.length < 9;) {
      const query = new URLSearchParams({ ...asked, page_token: token } as any);
      for (const by of order) query.append('order_by', by);
      const { body } = await sendJson('GET', `${url.href}?${query.toString()}`);
      for (const { name, version } of body.model_versions) found.push(`${name}/${version}`);
      token = body.next_page_token ?? '';
      if (token === '') break;
    }
    expect(found).toEqual(['find-a/2', 'find-a/1', 'find-b/1']);
  });

  it.each<Record<string, string | number>>([
    { filter: 'name ~ 1' },
    { filter: "nothing = 'a'" },
    { order_by: 'nothing' },
    { order_by: 'name SIDEWAYS' },
    { max_results: 0 },
    { max_results: 1001 },
    { page_token: 'made-up' },
  ])('refuses %j', async (fields) => {
    const { status, body } = await registry('GET', 'registered-models/search', fields);
    expect([status, body.error_code]).toEqual([400, 'INVALID_PARAMETER_VALUE']);
  });
});

describe('the scorer', () => {
  const tiny = {
    inputs: [{ name: 'x', dims: ['rows', 2] }],
    outputs: [{ name: 'y', dims: ['rows', 2] }],
  };
  const pair = {
    nodes: [
      { op: 'Neg', inputs: ['a'], outputs: ['p'] },
      { op: 'Neg', inputs: ['b'], outputs: ['q'] },
    ],
    inputs: [
      { name: 'a', dims: ['rows', 1] },
      { name: 'b', dims: ['rows', 1] },
    ],
    outputs: [
      { name: 'p', dims: ['rows', 1] },
      { name: 'q', dims: ['rows', 1] },
    ],
  };
  beforeAll(async () => {
    for (const [name, model] of Object.entries({ tiny, pair })) {
      const { status } = await upload(service.url, name, { 'model.onnx': forgeOnnx(model) });
      expect([name, status]).toEqual([name, 201]);
    }
  });
  const score = async (body: unknown, model = 'tiny', headers: Record<string, string> = {}) => {
    const query = model === '' ? '' : `?model=${model}`;
    return await sendJson('POST', `${service.url}/invocations${query}`, body, headers);
  };
  const rows = [
    [1, 2],
    [3, 4],
  ];

  it('answers each of the four forms alike, and records it as its own', async () => {
    const natively = await sendJson('POST', `${service.url}/api/models/tiny/predict`, {
      instances: rows,
    });
    const columns = ['first', 'second'];
    const records = rows.map(([first, second]) => ({ first, second }));
    for (const body of [
      { instances: rows },
      { inputs: rows },
      { inputs: { x: rows }, params: {} },
      { dataframe_split: { columns, index: [0, 1], data: rows } },
      { dataframe_split: { data: rows } },
      { dataframe_records: records },
      { dataframe_split: { columns: ['x'], data: rows.map((row) => [row]) } },
    ]) {
      const { status, body: answer } = await score(body);
      expect([status, answer]).toEqual([200, { predictions: natively.body.predictions }]);
    }
    const { headers } = await score({ instances: rows }, 'tiny@live', {
      'Content-Type': 'application/x-www-form-urlencoded',
    });
    const id = headers.get('Gridstow-Prediction-Id') ?? '';
    const record = await sendJson('GET', `${service.url}/api/predictions/${id}`);
    expect(record.body).toMatchObject({
      protocol: 'mlflow',
      model: 'tiny',
      version: 1,
      alias: 'live',
      rows: 2,
      status: 'ok',
    });
    expect(record.body.input.tensors.x.values.flat()).toEqual([1, 2, 3, 4]);
  });

  it('gives columns to inputs by their names, in any order', async () => {
    const byName = await score({ inputs: { a: [[1], [2]], b: [[3], [4]] } }, 'pair');
    expect(Object.keys(byName.body.predictions as object)).toEqual(['p', 'q']);
    const expected = [0, 1].map((row) => ({
      p: byName.body.predictions.p[row],
      q: byName.body.predictions.q[row],
    }));
    for (const body of [
      {
        dataframe_split: {
          columns: ['b', 'a'],
          data: [
            [3, 1],
            [4, 2],
          ],
        },
      },
      {
        dataframe_records: [
          { b: 3, a: 1 },
          { a: 2, b: [4] },
        ],
      },
    ]) {
      expect((await score(body, 'pair')).body).toEqual({ predictions: expected });
    }
  });

  it('reads large bodies off the event loop, with the same answers', async () => {
    const data = Array.from({ length: 4096 }, (_, at) => [at + 0.123456789012345, -at / 7]);
    const body = JSON.stringify({ dataframe_split: { columns: ['u', 'v'], data }, params: {} });
    const padded = body.padEnd(300_000, ' ');
    const small = (await score({ instances: data.slice(0, 2) })).body.predictions;
    const { status, body: answer } = await score(padded);
    expect(status).toBe(200);
    expect(answer.predictions).toHaveLength(4096);
    expect(answer.predictions.slice(0, 2)).toEqual(small);
  });

  it.each<[string, unknown, string, string]>([
    ['none of the four', {}, 'tiny', 'INVALID_PARAMETER_VALUE'],
    ['two of the four', { instances: [], inputs: [] }, 'tiny', 'INVALID_PARAMETER_VALUE'],
    ['no JSON', '{"instances": [', 'tiny', 'BAD_REQUEST'],
    ['a list', [1], 'tiny', 'BAD_REQUEST'],
    ['parameters', { instances: rows, params: { a: 1 } }, 'tiny', 'INVALID_PARAMETER_VALUE'],
    ['an id', '{"instances":[[1,2]],"id":"mine"}', 'tiny', 'INVALID_PARAMETER_VALUE'],
    [
      'a short row',
      { dataframe_split: { columns: ['u', 'v'], data: [[1, 2], [3]] } },
      'tiny',
      'INVALID_PARAMETER_VALUE',
    ],
    [
      'a column twice',
      { dataframe_split: { columns: ['u', 'u'], data: rows } },
      'tiny',
      'INVALID_PARAMETER_VALUE',
    ],
    ['too few columns', { dataframe_split: { data: [[1]] } }, 'tiny', 'INVALID_PARAMETER_VALUE'],
    ['a missing input', { dataframe_records: [{ a: 1 }] }, 'pair', 'INVALID_PARAMETER_VALUE'],
    [
      'ragged records',
      { dataframe_records: [{ a: 1, b: 2 }, { a: 1 }] },
      'pair',
      'INVALID_PARAMETER_VALUE',
    ],
    [
      'a text for a number',
      { dataframe_split: { data: [['x', 1]] } },
      'tiny',
      'INVALID_PARAMETER_VALUE',
    ],
    ['no model', { instances: rows }, '', 'INVALID_PARAMETER_VALUE'],
    ['an unknown model', { instances: rows }, 'nobody', 'RESOURCE_DOES_NOT_EXIST'],
    ['a kept model', { instances: rows }, 'find-b', 'RESOURCE_CONFLICT'],
  ])('refuses %s', async (_, body, model, code) => {
    const { status, body: answer } = await score(body, model);
    expect([answer.error_code, status < 500]).toEqual([code, true]);
    expect(answer.message).toMatch(/\w+ \w+/);
  });

  it('says that it is up, and of what release', async () => {
    for (const path of ['ping', 'health']) {
      const response = await fetch(`${service.url}/${path}`);
      expect([response.status, await response.text()]).toEqual([200, '\n']);
    }
    const version = await (await fetch(`${service.url}/version`)).text();
    expect(version).toBe(SERVICE_VERSION);
  });
});

it('says that it knows no workspaces', async () => {
  const { status, body } = await sendJson('GET', `${service.url}/api/3.0/mlflow/server-info`);
  expect([status, body]).toEqual([200, { workspaces_enabled: false }]);
});
