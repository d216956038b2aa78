import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';

import { zipSync } from 'fflate';
import { pack } from 'tar-stream';

import { hasNativePackage } from '../../src/runtime/engines/native-package';
import { bootService, type BootedService } from '../support/boot';
import { fixturePath } from '../support/fixtures';
import { attr, DT, type ForgedModel, forgeSavedModel } from '../support/forged-saved-model';
import { isClose } from '../support/golden';
import { readArtifact } from '../support/loadable';
import { type Files, sendJson, upload } from '../support/uploads';

interface GoldenTensor {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** What Keras answered; a model of one input and one output is written without their names. */
interface KerasGolden {
  readonly inputShape?: readonly number[];
  readonly input?: readonly number[];
  readonly inputs?: Readonly<Record<string, GoldenTensor>>;
  readonly outputs: readonly GoldenTensor[];
}

const MODELS = ['digits-cnn-v1', 'digits-cnn-v2', 'digits-multi', 'digits-lstm', 'cancer-mlp'];
let dataDir: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'saved-model-test-'));
});

afterAll(async () => {
  await rm(dataDir, { recursive: true, force: true });
});

function savedModel(name: string): Record<string, Buffer> {
  const files = readArtifact(`trained/${name}/saved_model`);
  return Object.fromEntries([...files].map(([path, bytes]) => [path, Buffer.from(bytes)]));
}

function golden(name: string): KerasGolden {
  const text = readFileSync(fixturePath(`trained/${name}/golden-keras.json`), 'utf8');
  return JSON.parse(text) as KerasGolden;
}

function nested({ shape, values }: GoldenTensor): unknown {
  if (shape.length <= 1) return [...values];
  const [rows = 0, ...rest] = shape;
  const step = values.length / rows;
  return Array.from({ length: rows }, (_, row) =>
    nested({ shape: rest, values: values.slice(row * step, (row + 1) * step) }),
  );
}

function inputsOf({ inputShape = [], input = [], inputs }: KerasGolden): unknown {
  if (!inputs) return nested({ shape: inputShape, values: input });
  return Object.fromEntries(Object.entries(inputs).map(([name, one]) => [name, nested(one)]));
}

async function toTar(files: Files, folder = ''): Promise<Buffer> {
  const tar = pack();
  for (const [path, content] of Object.entries(files)) {
    tar.entry({ name: `${folder}${path}` }, Buffer.from(content));
  }
  tar.finalize();
  return await buffer(tar);
}

async function send(
  url: string,
  type: string,
  body: Uint8Array,
): Promise<{ readonly status: number; readonly body: any }> {
  const init = { method: 'POST', headers: { 'Content-Type': type }, body: new Blob([body]) };
  const response = await fetch(url, init);
  return { status: response.status, body: await response.json() };
}

describe('a SavedModel where the node engine is not in use', () => {
  let service: BootedService;
  const url = (path: string): string => `${service.url}/api/models/${path}`;
  beforeAll(async () => {
    service = await bootService({ GRIDSTOW_ENGINE: 'wasm', GRIDSTOW_DATA_DIR: dataDir });
  });
  afterAll(async () => {
    await service.close();
  });

  it('is ready, and says which engine it needs and how to get it', async () => {
    const { status, body } = await upload(service.url, 'cancer', savedModel('cancer-mlp'));

    expect([status, body.error]).toEqual([201, undefined]);
    expect(body).toMatchObject({
      state: 'ready',
      format: 'tf-saved-model',
      framework: 'tensorflow',
      signature: {
        inputs: [{ name: 'features', dtype: 'float32', shape: [-1, 30] }],
        outputs: [{ name: 'output_0', dtype: 'float32', shape: [-1, 1] }],
      },
      engines: { node: { ok: false, code: 'engine_missing' } },
    });
    const inputs = inputsOf(golden('cancer-mlp'));
    const predicted = await sendJson('POST', url('cancer/predict'), { inputs });
    expect(predicted).toMatchObject({ status: 409, body: { code: 'engine_missing' } });
    expect(predicted.body.error).toContain('npm run native');
    const loaded = await sendJson('POST', url('cancer/versions/1/load'));
    expect(loaded).toMatchObject({ status: 409, body: { code: 'engine_missing' } });
  });

  it('takes no traffic from a version that can answer', async () => {
    const layers = readArtifact('tfjs/cancer-mlp.k3h5.fixed');
    await upload(service.url, 'kept', Object.fromEntries(layers));
    await upload(service.url, 'kept', savedModel('cancer-mlp'));

    const move = { version: 2, reason: 'newer' };
    const moved = await sendJson('PUT', url('kept/aliases/live'), move);

    expect(moved).toMatchObject({ status: 409, body: { code: 'target_unfit' } });
    expect(moved.body.error).toContain('npm run native');
  });

  it.each(['ReadFile', 'WriteFile', 'PyFunc', 'SomebodysOwnOp'])(
    'is refused for the op %s, and nothing of it is kept (47, 53)',
    async (op) => {
      const nodes = [
        { name: 'x', op: 'Placeholder' },
        { name: 'y', op, inputs: ['x'] },
      ];
      const files = { 'saved_model.pb': forgeSavedModel({ nodes }) };

      const { status, body } = await upload(service.url, 'hostile', files);

      expect([status, body.code]).toEqual([422, 'invalid_artifact']);
      expect(body.error).toContain(`"${op}"`);
      expect((await sendJson('GET', url('hostile'))).status).toBe(404);
    },
  );

  it('is refused without its variables (40)', async () => {
    const { 'saved_model.pb': graph = '' } = savedModel('cancer-mlp');

    const { status, body } = await upload(service.url, 'half', { 'saved_model.pb': graph });

    expect([status, body.code]).toEqual([422, 'invalid_artifact']);
    expect(body.error).toContain('variables/variables.index');
  });

  it('leaves nothing on the disk that a process left behind when it was killed', async () => {
    const left = join(dataDir, 'saved-models', '4194305-1-abcdef');
    await mkdir(left, { recursive: true });
    await writeFile(join(left, 'saved_model.pb'), 'secret');

    const next = await bootService({ GRIDSTOW_ENGINE: 'wasm', GRIDSTOW_DATA_DIR: dataDir });
    await next.close();

    expect(existsSync(left)).toBe(false);
  });
});

const withEngine = hasNativePackage() ? describe : describe.skip;

withEngine('a SavedModel where the node engine is (skipped unless npm run native was run)', () => {
  let service: BootedService;
  const url = (path: string): string => `${service.url}/api/models/${path}`;
  beforeAll(async () => {
    service = await bootService({ GRIDSTOW_ENGINE: 'auto', GRIDSTOW_DATA_DIR: dataDir });
  });
  afterAll(async () => {
    await service.close();
  });

  async function expectGolden(model: string, name: string): Promise<void> {
    const expected = golden(name);
    const { status, body } = await sendJson('POST', url(`${model}/predict`), {
      inputs: inputsOf(expected),
    });
    expect([status, body.error]).toEqual([200, undefined]);
    const outputs = Object.keys(body.outputs)
      .sort()
      .map((key) => [body.outputs[key]].flat(Infinity) as number[]);
    expected.outputs.forEach(({ values }, index) => {
      const off = values.filter((value, at) => !isClose(outputs[index]![at]!, value));
      expect([outputs[index]!.length, off]).toEqual([values.length, []]);
    });
  }

  it.each([...MODELS, 'cancer-mlp-norm'])('answers as Keras does: %s', async (name) => {
    const { status, body } = await upload(service.url, name, savedModel(name));

    expect([status, body.error]).toEqual([201, undefined]);
    expect(body).toMatchObject({ state: 'ready', engines: { node: { ok: true } } });
    await expectGolden(name, name);
    expect(readdirSync(join(dataDir, 'saved-models'))).toEqual([]);
    expect((await stat(join(dataDir, 'saved-models'))).mode & 0o777).toBe(0o700);
  });

  it.each([
    ['a tar', 'application/x-tar', async () => await toTar(savedModel('cancer-mlp'))],
    [
      'a tar.gz of the folder',
      'application/gzip',
      async () => gzipSync(await toTar(savedModel('cancer-mlp'), 'my model/')),
    ],
    ['a zip', 'application/zip', () => zipSync(savedModel('cancer-mlp'))],
    ['a zip of the folder', 'application/zip', () => zipSync({ net: savedModel('cancer-mlp') })],
  ])('comes as %s', async (title, type, make) => {
    const model = title.replace(/\W/g, '-');

    const { status, body } = await send(url(`${model}/versions`), type, await make());

    expect([status, body.error]).toEqual([201, undefined]);
    await expectGolden(model, 'cancer-mlp');
  });

  it('answers once the engine is there, though it was not at the upload', async () => {
    const env = { GRIDSTOW_DB: service.db.databaseName, GRIDSTOW_DATA_DIR: dataDir };
    const without = await bootService({ ...env, GRIDSTOW_ENGINE: 'wasm' });
    const files = savedModel('cancer-mlp');
    const { body } = await upload(without.url, 'later', files);
    await without.close();

    expect(body.engines.node.ok).toBe(false);
    await expectGolden('later', 'cancer-mlp');
  });

  it.each([
    ['int64', DT.int64, 'int32', [[1, -2]]],
    ['bool', DT.bool, 'bool', [[true, false]]],
    ['string', DT.string, 'string', [['a', 'ü']]],
    ['int32', DT.int32, 'int32', [[1, -2]]],
  ])('takes and gives %s', async (name, dtype, ours, values) => {
    const tensor = { dtype, shape: [-1, 2] };
    const files = { 'saved_model.pb': forgeSavedModel(echo(dtype, tensor)) };
    const { status, body } = await upload(service.url, `echo-${name}`, files);

    expect([status, body.error]).toEqual([201, undefined]);
    expect(body.signature.outputs).toEqual([{ name: 'y', dtype: ours, shape: [-1, 2] }]);
    const predicted = await sendJson('POST', url(`echo-${name}/predict`), { inputs: values });
    expect(predicted.body.outputs).toEqual({ y: values });
  });

  it('takes bytes, and refuses what does not fit one', async () => {
    const model: ForgedModel = {
      nodes: [
        {
          name: 'x',
          op: 'Placeholder',
          attrs: { dtype: attr.type(DT.uint8), shape: attr.shape([-1, 2]) },
        },
        {
          name: 'y',
          op: 'Cast',
          inputs: ['x'],
          attrs: { SrcT: attr.type(DT.uint8), DstT: attr.type(DT.float) },
        },
      ],
      inputs: { x: { tensor: 'x:0', dtype: DT.uint8, shape: [-1, 2] } },
      outputs: { y: { tensor: 'y:0', dtype: DT.float, shape: [-1, 2] } },
    };
    await upload(service.url, 'bytes', { 'saved_model.pb': forgeSavedModel(model) });
    const ask = async (values: number[]) =>
      await sendJson('POST', url('bytes/predict'), { inputs: [values] });

    expect((await ask([0, 255])).body.outputs).toEqual({ y: [[0, 255]] });
    for (const wrong of [-1, 256]) {
      expect(await ask([0, wrong])).toMatchObject({
        status: 422,
        body: { code: 'tensor_mismatch' },
      });
    }
  });

  it('gives no wrong number for an integer that 32 bits cannot hold', async () => {
    const wide = { dtype: DT.int64, shape: [-1, 2] };
    const T = attr.type(DT.int64);
    const model = echo(DT.int64, wide);
    const nodes = [
      { name: 'x', op: 'Placeholder', attrs: { dtype: T, shape: attr.shape([-1, 2]) } },
      { name: 'y', op: 'Mul', inputs: ['x', 'x'], attrs: { T } },
    ];
    await upload(service.url, 'wide', { 'saved_model.pb': forgeSavedModel({ ...model, nodes }) });

    const inputs = [[3, 2_000_000_000]];
    const { status, body } = await sendJson('POST', url('wide/predict'), { inputs });

    expect([status, body.code]).toEqual([422, 'tensor_mismatch']);
    expect(body.error).toContain('4000000000000000000');
  });

  it('is refused when TensorFlow cannot open it, without a word of where it lay', async () => {
    const files = savedModel('cancer-mlp');
    files['variables/variables.index'] = Buffer.from('no index');

    const { status, body } = await upload(service.url, 'torn', files);

    expect([status, body.code]).toEqual([422, 'version_rejected']);
    expect(JSON.stringify(body)).not.toContain(dataDir);
    expect(readdirSync(join(dataDir, 'saved-models'))).toEqual([]);
  });
});

function echo(dtype: number, tensor: { dtype: number; shape: number[] }): ForgedModel {
  return {
    nodes: [
      {
        name: 'x',
        op: 'Placeholder',
        attrs: { dtype: attr.type(dtype), shape: attr.shape([-1, 2]) },
      },
      { name: 'y', op: 'Identity', inputs: ['x'], attrs: { T: attr.type(dtype) } },
    ],
    inputs: { x: { ...tensor, tensor: 'x:0' } },
    outputs: { y: { ...tensor, tensor: 'y:0' } },
  };
}
