import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { unzipSync, zipSync } from 'fflate';

import { KerasReader } from '../../../../src/formats/keras/keras-reader';
import { normalizeUpload, type StoredUpload } from '../../../../src/formats/keras/normalize-upload';
import { FileProbe } from '../../../../src/formats/probe/file-probe';
import { fixturePath } from '../../../support/fixtures';

const OWN = join(__dirname, '../../../fixtures/keras');
const archive = readFileSync(fixturePath('trained/cancer-mlp/model.keras'));
const members = unzipSync(archive);

async function stored(path: string, bytes: Uint8Array): Promise<StoredUpload> {
  const probe = new FileProbe();
  await probe.push(bytes);
  const content = path.endsWith('.json') ? { content: bytes } : {};
  const open = (): Readable => Readable.from([Buffer.from(bytes)]);
  return { path, bytes: bytes.length, traits: await probe.finish(), open, ...content };
}

/** What an upload is normalised from, and the names of the files made; null for none. */
async function normalize(
  files: Readonly<Record<string, Uint8Array>>,
  reader = new KerasReader(),
): Promise<readonly [string, readonly string[]] | null> {
  const uploads = await Promise.all(
    Object.entries(files).map(async ([path, bytes]) => await stored(path, bytes)),
  );
  const made = await normalizeUpload(uploads, reader, async (parts) => {
    const paths: string[] = [];
    for await (const { path, body } of parts) {
      for await (const piece of body) expect(piece.length).toBeGreaterThan(0);
      paths.push(path);
    }
    return paths;
  });
  return made && [made.from, made.written];
}

const MADE = ['.normalized/model.json', '.normalized/group1-shard1of1.bin'];

describe('normalizeUpload', () => {
  it.each([
    ['an archive under another name', { 'model.bin': archive }, 'keras-v3'],
    ['an archive packed again, compressed', { m: zipSync(members) }, 'keras-v3'],
    ['an archive that was unpacked', members, 'keras-v3'],
    [
      'a file of the old format under another name',
      { 'a.txt': readFileSync(join(OWN, 'k2-seq/model.h5')) },
      'keras-h5',
    ],
  ])('knows a model by its content: %s', async (_title, files, from) => {
    await expect(normalize(files)).resolves.toEqual([from, MADE]);
  });

  it.each([
    ['a text named .h5', { 'model.h5': Buffer.from('this is no model of anything\n') }],
    ['a text named .keras', { 'model.keras': Buffer.from('PK, but no archive at all\n') }],
    ['a zip of something else', { 'model.keras': zipSync({ 'a.txt': Buffer.from('a') }) }],
  ])('does not go by names: %s', async (_title, files) => {
    await expect(normalize(files)).resolves.toBeNull();
  });

  it('refuses two models in one upload', async () => {
    const attempt = normalize({ 'a.keras': archive, 'b.keras': archive });

    await expect(attempt).rejects.toMatchObject({ code: 'invalid_artifact' });
  });

  it('refuses an archive with a byte changed in its weights (19)', async () => {
    const damaged = Uint8Array.from(archive);
    damaged[archive.indexOf('HDF', 0, 'latin1') + 9000]! ^= 1;

    await expect(normalize({ m: damaged })).rejects.toMatchObject({ code: 'archive_damaged' });
  });

  it('stops unpacking an archive at the limit, whatever it says of itself (48)', async () => {
    const bomb = zipSync({ ...members, 'model.weights.h5': new Uint8Array(64 * 1024 * 1024) });

    expect(bomb.length).toBeLessThan(1024 * 1024);
    await expect(normalize({ m: bomb }, new KerasReader(1024 * 1024))).rejects.toMatchObject({
      kind: 'too_large',
    });
  });
});
