import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { bootService, type BootedService } from '../support/boot';
import { fixturePath } from '../support/fixtures';
import { farApart, readKerasGolden } from '../support/keras-golden';
import { type Files, fixtureFiles, sendJson, upload } from '../support/uploads';

/** Models made for these tests: `k2-` by Keras 2.15, the others by Keras 3.15. */
const OWN = join(__dirname, '../fixtures/keras');
/** Those that TensorFlow.js cannot compute, and what the refusal must say. */
const REFUSED: Record<string, RegExp> = {
  custom: /"sc" is of class "(?:acme>)?Scale"/,
  hsig: /"d" \(Dense\) uses hard_sigmoid/,
  keepdims: /"g" \(GlobalMaxPooling2D\) keeps the dimensions/,
  lambda: /"twice" is a Lambda/,
  'norm-axis': /"n" \(Normalization\) normalises by constants/,
  resize: /"rz" \(Resizing\)/,
  shared:
    /"leaf" \(Dense\) stands at .*\.layers\[1\] as well.*call it in one of them only.*model\.export/,
};
/** Computed in less than float32 by Keras itself. */
const COARSE: Record<string, number> = {
  'pol-float16': 5e-3,
  'pol-bfloat16': 3e-2,
  'pol-mixed_bfloat16': 3e-2,
  'k2-mixed': 5e-3,
  'zoo-mixed16': 6e-4,
};
const BROKEN_REFUSED: Record<string, RegExp> = {
  'zoo-gru': /GRU with reset_after=true.*model\.export/,
  'zoo-mha': /"MultiHeadAttention".*model\.export/,
  'zoo-ops': /"relu".*"Relu"/,
};

let service: BootedService;

beforeAll(async () => {
  service = await bootService();
});
afterAll(async () => {
  await service.close();
});

async function expectGolden(model: string, golden: string, tolerance?: number): Promise<void> {
  const { inputs, outputs } = readKerasGolden(golden);
  const { body } = await sendJson('POST', `${service.url}/api/models/${model}/predict`, { inputs });
  expect(body.error).toBeUndefined();
  const answered = Object.values<unknown[]>(body.outputs).map((value) => value.flat(Infinity));
  const limits = tolerance ? { relative: tolerance, absolute: tolerance } : {};
  expect(outputs.map((values, i) => farApart(answered[i] as number[], values, limits))).toEqual(
    outputs.map(() => []),
  );
}

async function expectFile(model: string, path: string, bytes: Uint8Array): Promise<void> {
  const answer = await fetch(`${service.url}/api/models/${model}/versions/1/files/${path}`);
  expect(answer.status).toBe(200);
  expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
}

const own = readdirSync(OWN);
const trained = [
  'cancer-mlp',
  'cancer-mlp-norm',
  'digits-cnn-v1',
  'digits-cnn-v2',
  'digits-lstm',
  'digits-multi',
];
const accepted = [
  ...trained.map((name) => [name, fixturePath(`trained/${name}`)] as const),
  ...own.filter((name) => !(name in REFUSED)).map((name) => [name, join(OWN, name)] as const),
].flatMap(([name, folder]) =>
  ['model.h5', 'model.keras'].map((file) => [name, folder, file] as const),
);

describe('an uploaded file of Keras', () => {
  it.each(accepted)('predicts as Keras does: %s, %s/%s', async (name, folder, file) => {
    const model = `${name}-${file}`;
    const bytes = readFileSync(join(folder, file));

    const { status, body } = await upload(service.url, model, { [file]: bytes });

    expect([status, body.error]).toEqual([201, undefined]);
    expect(body).toMatchObject({
      state: 'ready',
      format: 'tfjs-layers',
      framework: 'keras',
      normalizedFrom: file === 'model.h5' ? 'keras-h5' : 'keras-v3',
    });
    expect(body.files.map(({ path }: any) => path)).toEqual(
      expect.arrayContaining([file, '.normalized/model.json']),
    );
    await expectGolden(model, join(folder, 'golden-keras.json'), COARSE[name]);
    await expectFile(model, file, bytes);
  });

  it.each(
    Object.entries(REFUSED).flatMap(([name, reason]) =>
      ['model.h5', 'model.keras'].map((file) => [name, file, reason] as const),
    ),
  )(
    'is refused for what TensorFlow.js computes otherwise or not at all (60): %s/%s',
    async (name, file, reason) => {
      const bytes = readFileSync(join(OWN, name, file));

      const { status, body } = await upload(service.url, `refused-${name}`, { [file]: bytes });

      expect([status, body.code]).toEqual([422, 'invalid_artifact']);
      expect(JSON.stringify(body.details.faults).replaceAll('\\"', '"')).toMatch(reason);
      expect(body.error).toMatch(new RegExp(file));
    },
  );
});

describe('a TensorFlow.js model converted from Keras 3', () => {
  const broken = readdirSync(fixturePath('keras3-broken')).filter(
    (name) => !name.endsWith('.json'),
  );

  it.each(broken)('is mended, or refused with the way out: %s', async (folder) => {
    const name = folder.replace(/\.\w+$/, '');
    const files: Files = fixtureFiles(`keras3-broken/${folder}`);

    const { status, body } = await upload(service.url, folder, files);

    const refused = BROKEN_REFUSED[name];
    if (refused) {
      expect([status, body.code]).toEqual([422, 'invalid_artifact']);
      expect(JSON.stringify(body.details.faults).replaceAll('\\"', '"')).toMatch(refused);
      return;
    }
    expect([status, body.error]).toEqual([201, undefined]);
    expect(body).toMatchObject({ state: 'ready', normalizedFrom: 'tfjs-keras3' });
    await expectGolden(
      folder,
      fixturePath(`keras3-broken/${name}.golden-keras.json`),
      COARSE[name],
    );
    await expectFile(folder, 'model.json', files['model.json'] as Uint8Array);
  });
});

describe('the version made of it', () => {
  const h5 = readFileSync(fixturePath('trained/cancer-mlp/model.h5'));

  it('has a digest over what was uploaded, and none over what was made of it', async () => {
    const first = await upload(service.url, 'digest', { 'model.h5': h5 });
    const second = await upload(service.url, 'digest', { 'model.h5': h5 });

    expect([first.status, second.status]).toEqual([201, 200]);
    const text = JSON.stringify({
      declaredSignature: null,
      files: [
        {
          bytes: h5.length,
          path: 'model.h5',
          sha256: createHash('sha256').update(h5).digest('hex'),
        },
      ],
      format: 'tfjs-layers',
      labels: null,
      recipe: null,
    });
    expect(first.body.digest).toBe(`sha256:${createHash('sha256').update(text).digest('hex')}`);
  });
});
