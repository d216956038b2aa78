import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { type FreshDatabase, freshDatabase } from '../support/database';

const run = promisify(execFile);
const ROOT = resolve(__dirname, '../..');

/** What library-program.mjs prints. */
interface Report {
  readonly saved: readonly { version: number; created: boolean }[];
  readonly bytes: number;
  readonly live: number;
  readonly trained: number;
  readonly handled: number;
  readonly moved: boolean;
  readonly canary: number;
  readonly refused: Readonly<Record<string, string>>;
}

describe('gridstow/io', () => {
  let folder: string;
  let database: FreshDatabase;

  // The packed package, unpacked where an install would put it, beside links to what it needs.
  beforeAll(async () => {
    database = freshDatabase();
    folder = await mkdtemp(join(tmpdir(), 'gridstow-library-'));
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], {
      cwd: ROOT,
      shell: process.platform === 'win32',
    });
    const packed = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
    await mkdir(join(folder, 'node_modules/@tensorflow'), { recursive: true });
    await run('tar', ['-xzf', join(folder, packed!), '-C', folder]);
    await symlink(join(folder, 'package'), join(folder, 'node_modules/gridstow'), 'junction');
    const { dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const name of [...Object.keys(dependencies), ...optional()]) {
      const target = join(folder, 'node_modules', name);
      await mkdir(dirname(target), { recursive: true });
      await symlink(join(ROOT, 'node_modules', name), target, 'junction');
    }
    await copyFile(join(__dirname, '../support/library-program.mjs'), join(folder, 'program.mjs'));
  }, 120_000);
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    await database.close();
  });

  it.each(['split', ...optional()])(
    "keeps a plain program's models in the store, with its own TensorFlow.js (%s)",
    async (brought) => {
      const db = `${database.name}_${brought === 'split' ? 'split' : 'union'}`;
      const { stdout } = await run(process.execPath, ['program.mjs', database.uri, db, brought], {
        cwd: folder,
        timeout: 100_000,
      });

      const report = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Report;
      await database.client.db(db).dropDatabase();
      expect(report.saved).toEqual([
        { version: 1, created: true },
        { version: 1, created: false },
        { version: 2, created: true },
        { version: 2, created: false },
      ]);
      expect(report.bytes).toBe((3 * 4 + 4 + 4 * 2 + 2) * 4);
      const { live, trained, handled, canary } = report;
      expect({ live, trained, handled, canary }).toEqual({
        live: 0,
        trained: 0,
        handled: 0,
        canary: 0,
      });
      expect(report.moved).toBe(true);
      const { refused } = report;
      expect(refused['gridfs://']).toContain('gridfs://name');
      expect(refused['gridfs://no-such']).toContain('no-such');
      expect(refused['gridfs://made-here/99']).toContain('99');
      expect(refused['gridfs://a b']).toContain('model name');
      expect(refused['saveVersion']).toContain('number is given by the store');
    },
    120_000,
  );
});

/** The package of everything, where it happens to be installed. */
function optional(): string[] {
  try {
    createRequire(__filename).resolve('@tensorflow/tfjs/package.json');
    return ['@tensorflow/tfjs'];
  } catch {
    return [];
  }
}
