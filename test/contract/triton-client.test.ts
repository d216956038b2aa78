import { join } from 'node:path';

import { bootService, type BootedService } from '../support/boot';
import { forgeOnnx, ONNX } from '../support/forged-onnx';
import { makePythonEnv, type PythonEnv } from '../support/python-env';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const PACKAGES = ['tritonclient[http]==2.73.0', 'numpy==2.4.6'];
const SCRIPT = join(__dirname, '../support/ask-triton.py');

/** The stock client of Triton, which sends and asks for binary tensors unless it is told otherwise. */
describe('tritonclient[http]', () => {
  let python: PythonEnv | string;
  let booted: BootedService | undefined;

  beforeAll(async () => {
    [python, booted] = await Promise.all([
      makePythonEnv(PACKAGES),
      bootService({ GRIDSTOW_ENGINE: 'auto' }),
    ]);
    const text = [{ name: 'BYTES', type: ONNX.string, dims: ['n', 1] }];
    const onnx = forgeOnnx({
      nodes: [{ op: 'Identity', inputs: ['BYTES'], outputs: ['y_BYTES'] }],
      inputs: text,
      outputs: text.map((output) => ({ ...output, name: 'y_BYTES' })),
    });
    const metadata = { labels: ['malignant'] };
    const uploads = await Promise.all([
      upload(booted.url, 'cancer', fixtureFiles('tfjs/cancer-mlp.k3h5.fixed'), { metadata }),
      upload(booted.url, 'text', { 'm.onnx': onnx }),
    ]);
    expect(uploads.map(({ status }) => status)).toEqual([201, 201]);
  });
  afterAll(async () => {
    if (typeof python !== 'string') python.remove();
    await booted?.close();
  });

  it('works unchanged: metadata, inference in every form, errors, repository', async () => {
    if (typeof python === 'string') {
      console.warn(`skipped: ${python}`);
      return;
    }
    const url = booted!.url;
    const row = Array.from({ length: 30 }, (_, place) => place / 29);
    const native = await sendJson('POST', `${url}/api/models/cancer/predict`, { inputs: [row] });
    const [value] = Object.values<any>(native.body.outputs).flat();

    const said = JSON.parse(await python.run([SCRIPT, url.replace('http://', '')]));

    expect(said).toEqual({
      live: true,
      ready: true,
      models: [true, false],
      server: 'gridstow',
      config: 4096,
      statistics: 'cancer',
      index: ['cancer', 'text'],
      id: 'from python',
      prediction: expect.stringMatching(/^[0-9a-f]{24}$/),
      values: [value],
      listed: [value],
      packed: [[value], [value]],
      many: [3, 1],
      classes: [expect.stringMatching(/^[\d.e-]+:0:malignant$/)],
      echoed: ['zwölf', ''],
      errors: [
        ['404', 'There is no model nobody'],
        ['400', expect.stringContaining('shape is [1, 29]')],
        ['400', expect.stringContaining('no sequences')],
      ],
    });
    const record = await sendJson('GET', `${url}/api/predictions/${said.prediction}`);
    expect(record.body).toMatchObject({
      protocol: 'oip',
      callerId: 'from python',
      model: 'cancer',
    });
    expect(Object.values<any>(record.body.outputs)[0].values).toEqual(value);
  });
});
