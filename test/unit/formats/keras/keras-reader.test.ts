import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { KerasReader } from '../../../../src/formats/keras/keras-reader';
import { fixturePath } from '../../../support/fixtures';

const HOSTILE = join(__dirname, '../../../fixtures/keras-hostile');
const whole = readFileSync(fixturePath('trained/cancer-mlp/model.h5'));
const reader = new KerasReader();

/** Reads a file to its last weight: how many bytes they were; null for no file of Keras. */
async function readWhole(bytes: Uint8Array, from = reader): Promise<number | null> {
  const load = async () => await Promise.resolve({ path: 'm.h5', hdf5: Uint8Array.from(bytes) });
  return await from.read(load, async ({ weights }) => {
    let read = 0;
    for await (const piece of weights) read += piece.length;
    return read;
  });
}

describe('KerasReader', () => {
  it('reads the weights of a model and leaves the state of its optimizer', async () => {
    await expect(readWhole(whole)).resolves.toBe(641 * 4);
  });

  it.each([
    ['huge-shape', 'keras_too_large', /1073741824 is the most/],
    ['gzip-bomb', 'invalid_artifact', /declares \d+ bytes of weights, but has/],
    ['links-in-circles', 'invalid_artifact', /weight is not there|cannot be read/],
    ['external-link', 'invalid_artifact', /weight is not there|cannot be read/],
    ['external-data', 'invalid_artifact', /damaged/],
    ['whole-numbers', 'invalid_artifact', /is of type int32/],
    ['weights-alone', 'invalid_artifact', /without the model/],
  ])('refuses a made-up HDF5 file: %s (21, 43, 57)', async (name, code, message) => {
    const attempt = readWhole(readFileSync(join(HOSTILE, `${name}.h5`)));

    await expect(attempt).rejects.toMatchObject({ code });
    const error = (await attempt.catch((caught: unknown) => caught)) as Error;
    expect(error.message + JSON.stringify(error)).toMatch(message);
  });

  it('passes over an HDF5 file of something else', async () => {
    await expect(readWhole(readFileSync(join(HOSTILE, 'no-model.h5')))).resolves.toBeNull();
  });

  it.each([9, 100, 600, 2048, 20_000, whole.length - 3000])(
    'refuses a file cut off after %d bytes (30)',
    async (bytes) => {
      await expect(readWhole(whole.subarray(0, bytes))).rejects.toMatchObject({
        code: 'invalid_artifact',
      });
    },
  );

  it('survives every kind of damage, and reads the next file as if nothing had been (19)', async () => {
    for (let at = 8; at < 4000; at += 397) {
      const damaged = Uint8Array.from(whole);
      damaged.fill(0xff, at, at + 8);
      await readWhole(damaged).catch((error: unknown) => {
        expect(error).toMatchObject({ code: expect.stringMatching(/invalid_artifact|too_large/) });
      });
    }

    await expect(readWhole(whole)).resolves.toBe(641 * 4);
  });

  it('gives up on a file that keeps its thread too long', async () => {
    await expect(readWhole(whole, new KerasReader(1024 ** 3, 0))).rejects.toMatchObject({
      code: 'invalid_artifact',
    });
  });
});
