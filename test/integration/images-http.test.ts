import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';

import sharp from 'sharp';
import { extract } from 'tar-stream';

import { type Fault } from '../../src/common/errors';
import { bootService, type BootedService } from '../support/boot';
import { fixturePath } from '../support/fixtures';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const DIGITS = 'tfjs/digits-cnn-v1.k3h5.fixed';

let service: BootedService;

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_MAX_BODY_MB: '1' });
  const labels = Array.from({ length: 10 }, (_, digit) => String(digit));
  await publish('digits', DIGITS, { labels });
  await publish('cancer', 'tfjs/cancer-mlp.k3h5.fixed');
  await publish('single', 'hm-movenet-lightning');
  await publish('nsfw', 'nsfw-mobilenet-v2', {
    labels: ['Drawing', 'Hentai', 'Neutral', 'Porn', 'Sexy'],
  });
});

afterAll(async () => {
  await service.close();
});

async function publish(model: string, fixture: string, metadata: object = {}): Promise<void> {
  const { status, body } = await upload(service.url, model, fixtureFiles(fixture), { metadata });
  if (status !== 201) throw new Error(JSON.stringify(body));
}

const image = (name: string): Buffer => readFileSync(fixturePath(`images/${name}`));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Handwritten digits of 8 x 8 values from 0 to 16. */
interface Digit {
  readonly values: readonly number[];
  readonly label: string;
}
const digits: Digit[] = readFileSync(`${__dirname}/../../scripts/data/digits.csv`, 'utf8')
  .trim()
  .split('\n')
  .slice(-200)
  .map((line) => line.split(',').map(Number))
  .map((cells) => ({ values: cells.slice(0, 64), label: String(cells[64]) }));

const toByte = (value: number): number => Math.round((value * 255) / 16);

async function digitPng({ values }: Digit): Promise<Buffer> {
  const raw = Uint8Array.from(values, toByte);
  return await sharp(raw, { raw: { width: 8, height: 8, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toBuffer();
}

function rowOf({ values }: Digit): number[][][] {
  return Array.from({ length: 8 }, (_, y) =>
    values.slice(y * 8, y * 8 + 8).map((value) => [toByte(value) / 255]),
  );
}

function form(
  files: readonly (readonly [string, Buffer])[],
  fields: Record<string, string> = {},
): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  for (const [name, bytes] of files) data.append('file', new Blob([Uint8Array.from(bytes)]), name);
  return data;
}

async function predict(
  ref: string,
  body: FormData | Buffer,
  contentType?: string,
): Promise<{ readonly status: number; readonly body: any }> {
  const response = await fetch(`${service.url}/api/models/${ref}/predict`, {
    method: 'POST',
    body: body instanceof FormData ? body : Uint8Array.from(body),
    headers: contentType === undefined ? {} : { 'Content-Type': contentType },
  });
  return { status: response.status, body: await response.json() };
}

async function inputMembers(id: string): Promise<{ headers: Headers; names: string[] }> {
  const response = await fetch(`${service.url}/api/predictions/${id}/input`);
  const tar = Readable.from([Buffer.from(await response.arrayBuffer())]).pipe(extract());
  const names: string[] = [];
  for await (const entry of tar) {
    names.push(entry.header.name);
    entry.resume();
  }
  return { headers: response.headers, names };
}

describe('the recipe of a version', () => {
  it('is stored with every choice written out, and makes another version of the same files', async () => {
    const files = fixtureFiles(DIGITS);
    const plain = await upload(service.url, 'recipes', files);
    const recipe = { image: { scale: { multiply: 1 / 16 } } };
    const scaled = await upload(service.url, 'recipes', files, { metadata: { recipe } });
    const again = await upload(service.url, 'recipes', files, { metadata: { recipe } });
    expect([plain.status, scaled.status, again.status]).toEqual([201, 201, 200]);
    expect(plain.body.recipe).toBeNull();
    expect(scaled.body.recipe).toEqual({
      image: {
        orient: 'exif',
        channels: 'gray',
        resize: { height: 8, width: 8, method: 'bilinear' },
        scale: { multiply: 1 / 16, offset: 0 },
        layout: 'hwc',
      },
    });
    expect(scaled.body.digest).not.toBe(plain.body.digest);
  });

  it('is refused with the path of each fault', async () => {
    const recipe = { image: { channels: 'rgb', crop: true } };
    const { status, body } = await upload(service.url, 'faulty', fixtureFiles(DIGITS), {
      metadata: { recipe },
    });
    expect(status).toBe(422);
    expect((body.details.faults as Fault[]).map(({ path }) => path)).toEqual([
      'metadata.recipe.image.crop',
      'metadata.recipe.image.channels',
    ]);
  });
});

describe('POST /api/models/{ref}/predict with images', () => {
  it('answers an image as it answers the same values in JSON, and keeps its exact bytes', async () => {
    const png = await digitPng(digits[0]!);
    const { status, body } = await predict('digits', form([['seven.png', png]], { id: 'mine' }));
    const json = await sendJson('POST', `${service.url}/api/models/digits/predict`, {
      instances: [rowOf(digits[0]!)],
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ model: 'digits', version: 1, alias: 'live', rows: 1, id: 'mine' });
    const difference = (body.predictions[0] as number[]).map((score, at) =>
      Math.abs(score - json.body.predictions[0][at]),
    );
    expect(Math.max(...difference)).toBeLessThan(1e-5);
    expect(body.top[0][0].label).toBe(digits[0]!.label);

    const record = (await sendJson('GET', `${service.url}/api/predictions/${body.predictionId}`))
      .body;
    expect(record).toMatchObject({ protocol: 'native', status: 'ok', callerId: 'mine', rows: 1 });
    expect(record.input).toEqual({
      digest: `sha256:${sha256(png)}`,
      kind: 'image',
      bytes: png.length,
      contentType: 'image/png',
      filename: 'seven.png',
      recipe: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    });
    const input = await fetch(`${service.url}/api/predictions/${body.predictionId}/input`);
    expect(input.headers.get('Content-Type')).toBe('image/png');
    expect(Buffer.from(await input.arrayBuffer())).toEqual(png);
  });

  it('reads digits as the model was trained to, one row for each file', async () => {
    const some = digits.slice(0, 40);
    const files = await Promise.all(
      some.map(async (digit, at) => [`../${at}.png`, await digitPng(digit)] as const),
    );
    const { status, body } = await predict('digits', form(files));
    expect(status).toBe(200);
    expect(body.rows).toBe(40);
    const right = some.filter(({ label }, row) => body.top[row][0].label === label);
    expect(right.length).toBeGreaterThanOrEqual(37);

    const { headers, names } = await inputMembers(body.predictionId);
    expect(headers.get('Content-Type')).toBe('application/x-tar');
    expect(names).toEqual(some.map((_digit, at) => `${at}/${at}.png`));
    const record = (await sendJson('GET', `${service.url}/api/predictions/${body.predictionId}`))
      .body;
    expect(record.input).toMatchObject({ kind: 'image', contentType: 'application/x-tar' });
  });

  it('takes one image as the whole body, by what it is rather than by what it is called', async () => {
    const cat = image('png-named.jpg');
    const { status, body } = await predict('digits', cat, 'image/jpeg');
    expect(status).toBe(200);
    const input = await fetch(`${service.url}/api/predictions/${body.predictionId}/input`);
    expect(input.headers.get('Content-Type')).toBe('image/png');
    expect(Buffer.from(await input.arrayBuffer())).toEqual(cat);
  });

  it('classifies photographs with MobileNet, the same however the camera was held', async () => {
    const upright = await predict('nsfw', image('cat-exif1.jpg'), 'image/jpeg');
    expect(upright.body.top[0][0]).toMatchObject({ label: 'Neutral' });
    expect(upright.body.top[0][0].score).toBeGreaterThan(0.9);
    for (const name of ['cat-exif6.jpg', 'cat-progressive.jpg', 'cat.webp', 'cat-rgba.png']) {
      const { body } = await predict('nsfw', form([[name, image(name)]]));
      expect(body.top[0][0].label).toBe('Neutral');
      expect(Math.abs(body.top[0][0].score - upright.body.top[0][0].score)).toBeLessThan(0.1);
    }
  });

  it('follows the recipe of the version, and the record says which', async () => {
    const png = await digitPng(digits[1]!);
    const [plain, scaled] = await Promise.all([
      predict('recipes/versions/1', png, 'image/png'),
      predict('recipes/versions/2', png, 'image/png'),
    ]);
    expect(scaled.body.predictions).not.toEqual(plain.body.predictions);
    const recipes = await Promise.all(
      [plain, scaled].map(async ({ body }) => {
        return (await sendJson('GET', `${service.url}/api/predictions/${body.predictionId}`)).body
          .input.recipe;
      }),
    );
    expect(new Set(recipes).size).toBe(2);
  });

  it('refuses what is no image, too large or damaged, and records none of it (74-77)', async () => {
    const count = async () => await service.db.collection('predictions').countDocuments();
    const before = await count();
    const html = Buffer.from('<!doctype html><p>cat');
    const answers = await Promise.all([
      predict('digits', html, 'image/png'),
      predict('digits', form([['cat.png', html]])),
      predict('digits', form([['bomb.png', image('decompression-12000x12000-1bit.png')]])),
      predict('digits', form([['cat.jpg', image('cat-truncated.jpg')]])),
      predict('digits', Buffer.alloc(2 * 1024 * 1024), 'image/png'),
      predict('digits', form([])),
      predict('digits', form([['cat.png', image('one-pixel.png')]], { colour: 'red' })),
      predict('cancer', image('one-pixel.png'), 'image/png'),
      predict(
        'single',
        form([
          ['a.png', image('one-pixel.png')],
          ['b.png', image('one-pixel.png')],
        ]),
      ),
      predict('digits', form(Array.from({ length: 65 }, () => ['a.png', image('one-pixel.png')]))),
      predict('nobody', image('one-pixel.png'), 'image/png'),
    ]);
    expect(answers.map(({ status, body }) => `${status} ${body.code}`)).toEqual([
      '415 not_an_image',
      '415 not_an_image',
      '413 image_too_large',
      '422 image_damaged',
      '413 body_too_large',
      '422 invalid_input',
      '422 invalid_input',
      '422 no_image_input',
      '422 invalid_input',
      '400 multipart_malformed',
      '404 model_not_found',
    ]);
    expect(await count()).toBe(before);
  });

  it('names the one file of many that is at fault', async () => {
    const files = [
      ['a.png', image('one-pixel.png')],
      ['b.jpg', image('cat-truncated.jpg')],
    ] as const;
    const { body } = await predict('digits', form(files));
    expect(body.error).toContain('File 2 (b.jpg)');
  });

  it('asks for the model where the image service has no default', async () => {
    const answer = await fetch(`${service.url}/prediction`, {
      method: 'POST',
      body: form([['a.png', image('one-pixel.png')]]),
    });
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({ details: { faults: [{ path: 'model' }] } });
  });
});
