import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { type BootedService, bootService } from '../support/boot';
import { testMongoUri } from '../support/database';
import { type Files, fixtureFiles, upload } from '../support/uploads';

const run = promisify(execFile);
const SCRIPT = join(__dirname, '../../scripts/read_artifact.py');
const PACKAGES = ['pymongo', 'zstandard', 'numpy'];

describe('scripts/read_artifact.py', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gridstow-python-'));
  const python = join(folder, 'venv/bin/python');
  let missing: string | undefined;
  let booted: BootedService;

  beforeAll(async () => {
    try {
      await run('python3', ['-m', 'venv', join(folder, 'venv')]);
      await run(python, ['-m', 'pip', 'install', '--quiet', '--only-binary', ':all:', ...PACKAGES]);
    } catch (error) {
      missing = error instanceof Error ? error.message.split('\n')[0] : String(error);
    }
    booted = await bootService();
  });
  afterAll(async () => {
    await booted.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function restores(model: string, version: number, files: Files): Promise<void> {
    if (missing !== undefined) {
      console.warn(`skipped: no Python with ${PACKAGES.join(', ')} here (${missing})`);
      return;
    }
    const target = join(folder, `${model}-${version}`);
    await run(python, [
      SCRIPT,
      testMongoUri(),
      booted.db.databaseName,
      model,
      String(version),
      target,
    ]);
    for (const [path, content] of Object.entries(files)) {
      expect(Buffer.compare(readFileSync(join(target, path)), Buffer.from(content))).toBe(0);
    }
  }

  it.each(['hm-age', 'hm-selfie'])(
    'restores the files of %s from the database alone',
    async (model) => {
      const files = fixtureFiles(model);
      expect((await upload(booted.url, model, files)).status).toBe(201);

      await restores(model, 1, files);
    },
  );

  it('restores a version that is stored as differences to an earlier one', async () => {
    const first = fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed');
    const weights = Object.keys(first).find((path) => path !== 'model.json')!;
    const changed = Uint8Array.from(first[weights]!);
    for (let at = 0; at < changed.length; at += 400) changed[at]! ^= 1;
    const second = { ...first, [weights]: changed };
    expect((await upload(booted.url, 'digits', first)).status).toBe(201);
    expect((await upload(booted.url, 'digits', second)).status).toBe(201);

    const differences = await booted.db
      .collection('artifacts.files')
      .countDocuments({ 'metadata.base': { $type: 'objectId' } });
    expect(differences).toBeGreaterThan(0);
    await restores('digits', 1, first);
    await restores('digits', 2, second);
  });
});
