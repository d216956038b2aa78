import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

import { bootService, type BootedService } from '../support/boot';
import { fixturePath } from '../support/fixtures';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

let service: BootedService;

beforeAll(async () => {
  service = await bootService();
});

afterAll(async () => {
  await service.close();
});

const forest = readFileSync(fixturePath('trained/rf-digits/model-z3.joblib'));
const tflite = readFileSync(fixturePath('trained/digits-cnn-tflite/model-f32.tflite'));
const command = Buffer.from('\x80\x02cposix\nsystem\nU\x02hi\x85R.', 'latin1');
const url = (path: string): string => `${service.url}/api/models/${path}`;

describe('an upload that nothing here runs', () => {
  it.each([
    ['forest', 'model.bin', forest, 'scikit-learn', /never unpickled/],
    ['lite', 'model', tflite, 'tensorflow-lite', /TensorFlow Lite interpreter/],
  ])(
    'is kept under its library without any metadata, and predicting says what to do: %s',
    async (model, path, bytes, framework, advice) => {
      const { status, body } = await upload(service.url, model, { [path]: bytes });

      expect([status, body.error]).toEqual([201, undefined]);
      expect(body).toMatchObject({ state: 'ready', format: 'opaque', framework, engines: {} });
      const predicted = await sendJson('POST', url(`${model}/predict`), { instances: [[1]] });
      expect(predicted).toMatchObject({ status: 409, body: { code: 'not_servable' } });
      expect(predicted.body.error).toMatch(advice);
      const loaded = await sendJson('POST', url(`${model}/versions/1/load`));
      expect(loaded).toMatchObject({ status: 409, body: { code: 'not_servable' } });
      const file = await fetch(url(`${model}/versions/1/files/${path}`));
      expect(Buffer.from(await file.arrayBuffer()).equals(bytes)).toBe(true);
    },
  );

  it('keeps what its uploader says about the library', async () => {
    const { body } = await upload(
      service.url,
      'said',
      { a: forest },
      { metadata: { framework: 'x' } },
    );

    expect(body.framework).toBe('x');
  });

  it('warns of what unpickling would import, and never does it', async () => {
    const { status, body } = await upload(service.url, 'evil', { 'model.json.pkl': command });

    expect(status).toBe(201);
    expect(body.warnings.join('\n')).toMatch(/DANGEROUS: imports posix\.system/);
  });

  it('is kept with a warning when nothing recognises it', async () => {
    const { status, body } = await upload(service.url, 'what', { 'readme.txt': 'hello' });

    expect([status, body.format, body.framework]).toEqual([201, 'opaque', null]);
    expect(body.warnings.join()).toMatch(/Nothing here was recognised/);
  });

  it('is what its content says, whatever its name: a table of numbers called model.h5', async () => {
    const { body } = await upload(service.url, 'lies', { 'model.h5': '1,2,3\n', 'a.pkl': 'hello' });

    expect(body).toMatchObject({ format: 'opaque', framework: null });
  });

  it.each([
    ['a compressed file with something behind it', [gzipSync('test'), Buffer.from('garbage')]],
    [
      'a compressed file with a wrong checksum',
      [gzipSync('test').subarray(0, -8), [0, 0, 0, 0, 4]],
    ],
    ['a text that mentions a topology', [Buffer.from('my notes on "modelTopology"')]],
  ])('is kept when it is %s', async (what, parts) => {
    const bytes = Buffer.concat(parts.map((part) => Buffer.from(part)));

    const { status, body } = await upload(service.url, 'odd', { [`${what}.bin`]: bytes });

    expect([status, body.format]).toEqual([201, 'opaque']);
  });

  it('can be promoted and rolled back to, as any version', async () => {
    await upload(service.url, 'moved', { a: forest });
    await upload(service.url, 'moved', { a: tflite });

    const moved = await sendJson('PUT', url('moved/aliases/live'), { version: 2, reason: 'newer' });
    const back = await sendJson('POST', url('moved/rollback'), { alias: 'live', to: 'previous' });

    expect([moved.status, back.status, back.body.to]).toEqual([200, 200, 1]);
  });

  it('can be 64 MiB of JSON', async () => {
    const text = `{"learner":{"feature_names":[],"x":"${'y'.repeat(64 * 1024 * 1024)}"}}`;

    const { status, body } = await upload(service.url, 'trees', {
      'model.ubj': text,
      'b.json': text,
    });

    expect([status, body.framework]).toEqual([201, 'xgboost']);
  });
});

describe('a model that is plainly broken', () => {
  it('is refused, not kept: shards that are missing (40)', async () => {
    const files = fixtureFiles('hm-age');
    delete files['age.bin'];

    const { status, body } = await upload(service.url, 'broken', files);

    expect([status, body.code]).toEqual([422, 'invalid_artifact']);
  });

  it('is refused, not kept: weights without a topology (58)', async () => {
    const { status, body } = await upload(service.url, 'broken', fixtureFiles('face-api-weights'));

    expect([status, body.code]).toEqual([422, 'unrecognised_artifact']);
  });
});
