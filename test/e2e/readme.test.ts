import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { bootService, type BootedService } from '../support/boot';
import { forgeOnnx } from '../support/forged-onnx';

const run = promisify(execFile);
const root = join(__dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const scripts = (
  JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  }
).scripts;

const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text]) => text ?? '');
const shellBlocks = blocks.filter((block) => !/^(npm|docker) /.test(block));

let service: BootedService;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gridstow-readme-'));
  await copyFile(join(root, 'test/fixtures/keras/seq/model.keras'), join(folder, 'model.keras'));
  const inputs = [{ name: 'x', dims: ['rows', 4] }];
  const outputs = [{ name: 'y', dims: ['rows', 4] }];
  await writeFile(join(folder, 'model.onnx'), forgeOnnx({ inputs, outputs }));
  service = await bootService();
  await run(process.execPath, [join(root, 'dist/scripts/seed.js'), '--url', service.url]);
});

afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true, force: true });
});

describe('README', () => {
  it('has commands to try', () => {
    expect(shellBlocks.length).toBeGreaterThan(10);
  });

  // In the order of the page: later blocks use what earlier ones made.
  it.each(shellBlocks.map((block) => [block.trim().split('\n').at(0), block]))(
    'gives commands that work on the seeded example: %s',
    async (_title, block) => {
      const script = block.replaceAll('http://127.0.0.1:8501', service.url);

      const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder });

      expect(stdout).not.toContain('"error"');
    },
  );

  it('names only npm scripts that exist', () => {
    const named = [...readme.matchAll(/npm (?:run )?([a-z][a-z-]*)/g)].map(
      ([, name]) => name ?? '',
    );

    expect(named).toContain('demo');
    for (const name of named) expect(scripts).toHaveProperty(name);
  });

  it('names only routes that the service has', async () => {
    const spec = (await (await fetch(`${service.url}/api/openapi.json`)).json()) as {
      paths: Record<string, unknown>;
    };
    const paths = Object.keys(spec.paths);
    const named = [...readme.matchAll(/`(?:[A-Z/]+ )?(\/(?:api|health)[^`?\s]*)/g)].map(
      ([, path]) => path ?? '',
    );

    for (const path of named.filter((one) => !/docs|openapi|@|digits/.test(one))) {
      const pattern = path.replace('{ref}', '{ref}');
      expect(paths).toContain(pattern);
    }
  });
});
