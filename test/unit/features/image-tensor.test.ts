import '@tensorflow/tfjs-backend-cpu';

import { readFileSync } from 'node:fs';

import * as tf from '@tensorflow/tfjs-core';

import { MAX_PIXELS, type Pixels, withPixels } from '../../../src/features/decode-image';
import { imageTensor } from '../../../src/features/image-tensor';
import { type ImageRecipe } from '../../../src/features/recipe';
import { resizeBilinear } from '../../../src/features/resize-bilinear';
import { fixturePath } from '../../support/fixtures';
import golden from './resize-golden.json';

const image = (name: string): Buffer => readFileSync(fixturePath(`images/${name}`));
const catalogue = JSON.parse(image('images.json').toString()) as Record<
  string,
  { size: [number, number]; orientation: number | null; centerRGB: number[] | null }
>;

async function decoded(name: string): Promise<Pixels> {
  return await withPixels(image(name), 'exif', async (pixels) => await Promise.resolve(pixels));
}

/** All pixels in the channels wanted: a resize to the size that an image has changes nothing. */
async function pixelsOf(name: string, channels: ImageRecipe['channels']): Promise<Float32Array> {
  const pixels = await decoded(name);
  return await resizeBilinear(pixels, pixels, channels);
}

function recipe(change: Partial<ImageRecipe> = {}): ImageRecipe {
  return {
    orient: 'exif',
    channels: 'rgb',
    resize: { height: 20, width: 30, method: 'bilinear' },
    scale: { multiply: 1 / 255, offset: 0 },
    layout: 'hwc',
    ...change,
  };
}

function floatsOf({ data }: { readonly data: Uint8Array }): Float32Array {
  return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
}

function meanDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + Math.abs(value - (b[at] ?? NaN)), 0) / a.length;
}

describe('decoding', () => {
  const readable = Object.keys(catalogue).filter(
    (name) =>
      catalogue[name]?.centerRGB && !['cat-gray16.png'].includes(name) && !name.endsWith('.tif'),
  );

  it.each(readable)('gives the pixels of the file, whatever its kind: %s (75)', async (name) => {
    const { data, height, width, space } = await decoded(name);
    const turned = (catalogue[name]?.orientation ?? 1) >= 5;
    const size = catalogue[name]?.size ?? [0, 0];
    expect([width, height]).toEqual(turned ? size.toReversed() : size);
    expect(data).toHaveLength(width * height * (space === 'cmyk' ? 4 : 3));
    const rgb = await pixelsOf(name, 'rgb');
    const centre = (Math.floor(height / 2) * width + Math.floor(width / 2)) * 3;
    const expected = catalogue[name]?.centerRGB ?? [];
    [0, 1, 2].forEach((channel) => {
      expect(
        Math.abs((rgb[centre + channel] ?? NaN) - (expected[channel] ?? NaN)),
      ).toBeLessThanOrEqual(2);
    });
  });

  it('gives the same picture however the camera was held, and another one when told not to look (75)', async () => {
    const upright = await imageTensor(image('cat-exif1.jpg'), recipe(), { dtype: 'float32' });
    for (const turn of [3, 5, 6, 8]) {
      const bytes = image(`cat-exif${turn}.jpg`);
      const turned = await imageTensor(bytes, recipe(), { dtype: 'float32' });
      expect(meanDifference(floatsOf(turned), floatsOf(upright))).toBeLessThan(0.02);
      const ignored = await imageTensor(bytes, recipe({ orient: 'ignore' }), { dtype: 'float32' });
      expect(meanDifference(floatsOf(ignored), floatsOf(upright))).toBeGreaterThan(0.05);
    }
  });

  it('keeps the upper half of 16 bits, drops transparency, and takes gray as it is', async () => {
    expect(await pixelsOf('cat-rgb16.png', 'rgb')).toEqual(await pixelsOf('cat-rgb.png', 'rgb'));
    expect(await pixelsOf('cat-rgba.png', 'rgb')).toEqual(await pixelsOf('cat-rgb.png', 'rgb'));
    const gray = await pixelsOf('cat-gray8.png', 'gray');
    expect(await pixelsOf('cat-gray16.png', 'gray')).toEqual(gray);
    expect(await pixelsOf('cat-gray-alpha.png', 'gray')).toEqual(gray);
    // The gray fixture was made from the coloured one with the same weights.
    expect(meanDifference(await pixelsOf('cat-rgb.png', 'gray'), gray)).toBeLessThan(0.01);
  });

  it('refuses too many pixels by the header, before anything is decoded (74)', async () => {
    const before = process.memoryUsage().rss;
    await expect(decoded('decompression-12000x12000-1bit.png')).rejects.toMatchObject({
      code: 'image_too_large',
      details: { width: 12_000, height: 12_000, maxPixels: MAX_PIXELS },
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it.each([
    ['cut off', image('cat-truncated.jpg')],
    ['cut off', image('cat-rgb.png').subarray(0, 20_000)],
    ['cut off', image('cat.webp').subarray(0, 2_000)],
    ['a beginning alone', Buffer.from('GIF89a')],
    ['a beginning alone', Buffer.from([0xff, 0xd8, 0xff, 0xe0])],
  ])('refuses an image that is damaged: %s (75)', async (_what, bytes) => {
    await expect(imageTensor(bytes, recipe(), { dtype: 'float32' })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'image_damaged',
    });
  });

  it.each([
    '',
    '<!doctype html><img src="cat.png">',
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    '%PDF-1.7',
    'II*\0',
    'BM',
  ])('refuses by content what is no image of a known kind: %j (76)', async (text) => {
    await expect(
      imageTensor(Buffer.from(text), recipe(), { dtype: 'float32' }),
    ).rejects.toMatchObject({ kind: 'unsupported_media_type', code: 'not_an_image' });
  });
});

describe('resizing', () => {
  it.each(golden)(
    'equals TensorFlow within 1/255 of the range: $file to $height x $width $channels',
    async ({ file, height, width, channels, first, mean }) => {
      const pixels = await decoded(file);
      const values = await resizeBilinear(
        pixels,
        { height, width },
        channels as ImageRecipe['channels'],
      );
      first.forEach((expected, at) => {
        expect(Math.abs((values[at] ?? NaN) - expected)).toBeLessThan(0.01);
      });
      expect(values.reduce((sum, value) => sum + value, 0) / values.length).toBeCloseTo(mean, 1);
    },
  );

  it.each([
    ['cat-rgb.png', 224, 224],
    ['cat-rgb.png', 150, 225],
    ['sklearn-china.jpg', 8, 700],
    ['one-pixel.png', 5, 3],
  ])('equals TensorFlow.js on every value: %s to %i x %i', async (name, height, width) => {
    const pixels = await decoded(name);
    const values = await resizeBilinear(pixels, { height, width }, 'rgb');
    const reference = tf.tidy(() => {
      const whole = tf.tensor3d(Float32Array.from(pixels.data), [pixels.height, pixels.width, 3]);
      return tf.image.resizeBilinear(whole, [height, width], false, true).dataSync();
    });
    const worst = values.reduce(
      (max, value, at) => Math.max(max, Math.abs(value - (reference[at] ?? NaN))),
      0,
    );
    expect(worst).toBeLessThan(0.01);
  });
});

describe('imageTensor', () => {
  it('scales each channel by its own numbers and can put plane after plane', async () => {
    const change = { resize: { height: 1, width: 2, method: 'bilinear' as const } };
    const plain = recipe({ ...change, scale: { multiply: 1, offset: 0 } });
    const values = floatsOf(await imageTensor(image('one-pixel.png'), plain, { dtype: 'float32' }));
    expect([...values]).toEqual([10, 200, 30, 10, 200, 30]);
    const scaled = await imageTensor(
      image('one-pixel.png'),
      recipe({ ...change, layout: 'chw', scale: { multiply: [1, 2, 0.5], offset: [1, 0, -1] } }),
      { dtype: 'float32' },
    );
    expect(scaled.shape).toEqual([1, 3, 1, 2]);
    expect([...floatsOf(scaled)]).toEqual([11, 11, 400, 400, 14, 14]);
  });

  it('gives whole numbers to a uint8 input, and what is out of its range as the nearest in it', async () => {
    const scale = { multiply: 2, offset: -100 };
    const whole = await imageTensor(image('cat-rgb.png'), recipe({ scale }), { dtype: 'int32' });

    const bytes = await imageTensor(image('cat-rgb.png'), recipe({ scale }), { dtype: 'uint8' });

    const values = new Int32Array(whole.data.buffer);
    expect(Math.min(...values)).toBeLessThan(0);
    expect(Math.max(...values)).toBeGreaterThan(255);
    expect(bytes).toMatchObject({ dtype: 'uint8', shape: [1, 20, 30, 3] });
    expect([...bytes.data]).toEqual([...values].map((value) => Math.min(Math.max(value, 0), 255)));
  });

  it('gives whole numbers to an int32 input', async () => {
    const tensor = await imageTensor(
      image('cat-rgb.png'),
      recipe({ scale: { multiply: 1, offset: 0 } }),
      { dtype: 'int32' },
    );
    const values = new Int32Array(tensor.data.buffer);
    expect(tensor).toMatchObject({ dtype: 'int32', shape: [1, 20, 30, 3] });
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeGreaterThan(150);
  });

  it('takes many images at once, within the budget of pixels', async () => {
    const bytes = image('sklearn-flower.jpg');
    const tensors = await Promise.all(
      Array.from({ length: 20 }, async () => {
        return await imageTensor(bytes, recipe(), { dtype: 'float32' });
      }),
    );
    expect(new Set(tensors.map(({ data }) => Buffer.from(data).toString('hex'))).size).toBe(1);
  });
});
