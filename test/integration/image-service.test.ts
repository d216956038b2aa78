import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import sharp from 'sharp';

import { type RecordedImageAnswer } from '../../src/protocols/image/image-answer';
import { bootService, type BootedService } from '../support/boot';
import { fixturePath } from '../support/fixtures';
import { fixtureFiles, sendJson, upload } from '../support/uploads';

const LABELS = ['Drawing', 'Hentai', 'Neutral', 'Porn', 'Sexy'];

let service: BootedService;

beforeAll(async () => {
  service = await bootService({ GRIDSTOW_DEFAULT_MODEL: 'digits', GRIDSTOW_MAX_BODY_MB: '1' });
  const digits = await upload(service.url, 'digits', fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed'));
  const nsfw = await upload(service.url, 'nsfw', fixtureFiles('nsfw-mobilenet-v2'), {
    metadata: { labels: LABELS },
  });
  expect([digits.status, nsfw.status]).toEqual([201, 201]);
});

afterAll(async () => {
  await service.close();
});

const image = (name: string): Buffer => readFileSync(fixturePath(`images/${name}`));

/** A handwritten digit as a PNG, twenty times as large as the model takes it. */
async function digitPng(line: number): Promise<{ png: Buffer; digit: number }> {
  const csv = readFileSync(`${__dirname}/../../scripts/data/digits.csv`, 'utf8');
  const cells = (csv.split('\n')[line] ?? '').split(',').map(Number);
  const raw = Uint8Array.from(cells.slice(0, 64), (value) => Math.round((value * 255) / 16));
  const png = await sharp(raw, { raw: { width: 8, height: 8, channels: 1 } })
    .resize(160, 160, { kernel: 'nearest' })
    .png()
    .toBuffer();
  return { png, digit: cells[64] ?? NaN };
}

async function classify(
  bytes: Buffer,
  filename: string,
  query = '',
  field = 'file',
): Promise<{ readonly status: number; readonly body: any; readonly headers: Headers }> {
  const form = new FormData();
  form.append(field, new Blob([Uint8Array.from(bytes)], { type: 'image/png' }), filename);
  const response = await fetch(`${service.url}/prediction${query}`, { method: 'POST', body: form });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

const get = async (path: string) => await sendJson('GET', `${service.url}${path}`);

describe('the image service', () => {
  it('classifies a digit with the default model, and gives it back with its image', async () => {
    const { png, digit } = await digitPng(10);
    const { status, body, headers } = await classify(png, 'digit.png');
    expect(status).toBe(200);
    expect(body).toEqual({
      filename: 'digit.png',
      contenttype: 'image/png',
      prediction: expect.any(Array),
      likely_class: digit,
      input_id: `sha256:${createHash('sha256').update(png).digest('hex')}`,
      prediction_id: headers.get('Gridstow-Prediction-Id'),
    });
    expect(body.prediction).toHaveLength(10);

    const one = await get(`/prediction/${body.prediction_id}`);
    expect(one.status).toBe(200);
    expect(one.body).toEqual({
      ...body,
      model: 'digits',
      version: 1,
      status: 'ok',
      created_at: expect.any(String),
      input_image: png.toString('base64'),
    });
    const record = await get(`/api/predictions/${body.prediction_id}`);
    expect(record.body).toMatchObject({
      protocol: 'image',
      alias: 'live',
      input: { kind: 'image' },
    });
  });

  it('answers the label where the version has labels, for the model that is named', async () => {
    const jpeg = image('cat-exif6.jpg');
    const { body } = await classify(jpeg, 'cat.jpg', '?model=nsfw@live');
    expect(body).toMatchObject({ contenttype: 'image/jpeg', likely_class: 'Neutral' });
    expect(body.prediction[2]).toBeGreaterThan(0.9);
    const versioned = await classify(jpeg, 'cat.jpg', '?model=nsfw/versions/1');
    expect(versioned.body.prediction).toEqual(body.prediction);
    expect(versioned.body.input_id).toBe(body.input_id);
  });

  it('lists what it classified, newest first, page by page and by model, from an index', async () => {
    const { png } = await digitPng(11);
    const made: string[] = [];
    for (let at = 0; at < 3; at++) {
      made.unshift((await classify(png, `${at}.png`)).body.prediction_id as string);
    }
    await sendJson('POST', `${service.url}/api/models/digits/predict`, {
      instances: [Array.from({ length: 8 }, () => Array.from({ length: 8 }, () => [0]))],
    });
    const first = (await get('/predictions?limit=2')).body as RecordedImageAnswer[];
    const rest = (await get(`/predictions?before=${first[1]?.prediction_id ?? ''}&model=digits`))
      .body as RecordedImageAnswer[];
    const ids = [...first, ...rest].map(({ prediction_id }) => prediction_id);
    expect(ids.slice(0, 3)).toEqual(made);
    expect(new Set(ids).size).toBe(ids.length);
    expect(first[0]).toMatchObject({ filename: '2.png', status: 'ok', model: 'digits' });
    expect(first[0]?.prediction).toHaveLength(10);
    const plan = await service.db
      .collection('predictions')
      .find({ $and: [{ protocol: 'image' }] })
      .sort({ _id: -1 })
      .explain();
    expect(JSON.stringify(plan)).toContain('"indexName":"image_newest"');
  });

  it('refuses in its own words, with the statuses of the native API (74-76)', async () => {
    const { png } = await digitPng(12);
    const answers = await Promise.all([
      classify(Buffer.from('<html>'), 'cat.png'),
      classify(image('decompression-12000x12000-1bit.png'), 'bomb.png'),
      classify(image('cat-truncated.jpg'), 'cat.jpg'),
      classify(png, 'a.png', '?model=nobody'),
      classify(png, 'a.png', '?colour=red'),
      sendJson('POST', `${service.url}/prediction`, { instances: [] }),
      get(`/prediction/${'0'.repeat(24)}`),
      get('/prediction/7'),
      get('/predictions?before=7'),
    ]);
    expect(answers.map(({ status, body }) => `${status} ${body.code}`)).toEqual([
      '415 not_an_image',
      '413 image_too_large',
      '422 image_damaged',
      '404 model_not_found',
      '400 bad_query',
      '415 unsupported_media_type',
      '404 prediction_not_found',
      '400 bad_prediction_id',
      '400 bad_prediction_id',
    ]);
    for (const { body } of answers) expect(body.detail).toMatch(/\w+ \w+/);
  });

  it('does not show predictions that came another way', async () => {
    const { body } = await sendJson('POST', `${service.url}/api/models/digits/predict`, {
      instances: [Array.from({ length: 8 }, () => Array.from({ length: 8 }, () => [0]))],
    });
    expect((await get(`/prediction/${body.predictionId}`)).status).toBe(404);
  });
});
