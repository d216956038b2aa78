import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { bootService, type BootedService } from '../support/boot';
import { makePythonEnv, type PythonEnv } from '../support/python-env';
import { sendJson, upload } from '../support/uploads';

const PACKAGES = ['numpy==2.4.6', 'scikit-learn==1.9.1', 'onnx==1.23.2', 'skl2onnx==1.20.0'];
const SCRIPT = join(__dirname, '../support/train-onnx.py');

interface Expected {
  readonly rows: number[][];
  readonly labels?: (string | number)[];
  readonly probabilities?: number[][];
  readonly values?: number[];
}

/** scikit-learn as its users have it: trained there, exported by skl2onnx, served here. */
describe('a scikit-learn model as ONNX', () => {
  let python: PythonEnv | string;
  let booted: BootedService | undefined;

  beforeAll(async () => {
    python = await makePythonEnv(PACKAGES);
    if (typeof python !== 'string') await python.run([SCRIPT, python.folder]);
    booted = await bootService({ GRIDSTOW_ENGINE: 'auto' });
  });
  afterAll(async () => {
    await booted?.close();
    if (typeof python !== 'string') python.remove();
  });

  const isThere = (): boolean => {
    if (typeof python !== 'string') return true;
    console.warn(`skipped: ${python}`);
    return false;
  };
  const pathOf = (name: string): string => {
    return join(typeof python === 'string' ? '' : python.folder, name);
  };
  const fileOf = (name: string): Buffer => readFileSync(pathOf(`${name}.onnx`));
  const predict = async (model: string, body: unknown) =>
    await sendJson('POST', `${booted!.url}/api/models/${model}/predict`, body);

  it.each([
    ['pipeline', 'int64'],
    ['boosting', 'string'],
  ])('says the classes and probabilities of scikit-learn: %s', async (model, dtype) => {
    if (!isThere()) return;
    const expected = JSON.parse(readFileSync(pathOf(`${model}.json`), 'utf8')) as Expected;

    const { status, body } = await upload(booted!.url, model, { 'model.onnx': fileOf(model) });
    expect([status, body.error]).toEqual([201, undefined]);
    expect(body).toMatchObject({ format: 'onnx', framework: 'scikit-learn' });
    expect(body.signature.outputs[0]).toEqual({ name: 'label', dtype, shape: [-1] });
    const answered = await predict(model, { inputs: expected.rows });

    expect([answered.status, answered.body.error]).toEqual([200, undefined]);
    expect(answered.body.outputs.label).toEqual(expected.labels);
    expected.probabilities!.forEach((row, at) => {
      row.forEach((probability, place) => {
        expect(answered.body.outputs.probabilities[at][place]).toBeCloseTo(probability, 5);
      });
    });
  });

  it('computes a regression in double precision', async () => {
    if (!isThere()) return;
    const expected = JSON.parse(readFileSync(pathOf('regression.json'), 'utf8')) as Expected;

    const { body } = await upload(booted!.url, 'regression', { m: fileOf('regression') });
    expect(body.signature.inputs[0]).toMatchObject({ dtype: 'float64', shape: [-1, 10] });
    const answered = await predict('regression', { instances: expected.rows });

    const predictions = answered.body.predictions as number[][];
    predictions.forEach(([value], at) => {
      expect(value! / expected.values![at]!).toBeCloseTo(1, 12);
    });
  });

  it('is refused with what to do when its probabilities are a list of maps', async () => {
    if (!isThere()) return;

    const { status, body } = await upload(booted!.url, 'maps', { m: fileOf('maps') });

    expect(status).toBe(422);
    expect(body.error).toMatch(/"output_probability".*'zipmap': False/);
    expect(existsSync(pathOf('maps.onnx'))).toBe(true);
  });
});
