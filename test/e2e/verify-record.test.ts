import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { type BootedService, bootService } from '../support/boot';
import { fixturePath } from '../support/fixtures';
import { deleteOnceUnread, fixtureFiles, upload } from '../support/uploads';

const run = promisify(execFile);
const SCRIPT = join(__dirname, '../../dist/scripts/verify-record.js');

let service: BootedService;
let folder: string;
let predictionId: string;

beforeAll(async () => {
  service = await bootService();
  folder = await mkdtemp(join(tmpdir(), 'gridstow-proof-'));
  const { status } = await upload(
    service.url,
    'digits',
    fixtureFiles('tfjs/digits-cnn-v1.k3h5.fixed'),
    {
      metadata: {
        labels: Array.from({ length: 10 }, (_, digit) => String(digit)),
        recipe: { image: { channels: 'gray' } },
      },
    },
  );
  expect(status).toBe(201);
  const form = new FormData();
  form.append('id', 'mine');
  form.append('file', new Blob([await readFile(fixturePath('images/cat-gray8.png'))]), 'cat.png');
  const answer = await fetch(`${service.url}/api/models/digits/predict`, {
    method: 'POST',
    body: form,
  });
  expect(answer.status).toBe(200);
  ({ predictionId } = (await answer.json()) as { predictionId: string });

  const record = `/api/predictions/${predictionId}`;
  await download('record.json', record);
  await download('proof.json', `${record}/proof`);
  await download('input.bin', `${record}/input`);
  await download('outputs.bin', `${record}/outputs`);
  await download('version.tar', '/api/models/digits/versions/1/archive');
  const proof = JSON.parse(await readFile(at('proof.json'), 'utf8')) as { recordDigest: string };
  await writeFile(at('digest'), proof.recordDigest);
});

afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true, force: true });
});

function at(name: string): string {
  return join(folder, name);
}

async function download(name: string, path: string): Promise<void> {
  const response = await fetch(`${service.url}${path}`);
  expect(response.status).toBe(200);
  await writeFile(at(name), Buffer.from(await response.arrayBuffer()));
}

/** What the script says, with some of its files replaced. */
async function verify(
  replaced: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly lines: readonly string[] }> {
  const named = {
    proof: at('proof.json'),
    record: at('record.json'),
    version: at('version.tar'),
    input: at('input.bin'),
    outputs: at('outputs.bin'),
    digest: await readFile(at('digest'), 'utf8'),
    ...replaced,
  };
  const options = Object.entries(named)
    .filter(([, value]) => value !== '')
    .flatMap(([name, value]) => [`--${name}`, value]);
  return await run(process.execPath, [SCRIPT, ...options]).then(
    ({ stdout }) => ({ code: 0, lines: stdout.trim().split('\n') }),
    (failure: unknown) => {
      const { code, stdout, stderr } = failure as { code: number; stdout: string; stderr: string };
      return { code, lines: `${stdout}${stderr}`.trim().split('\n') };
    },
  );
}

/** The same file with its last byte changed, or what `change` makes of its JSON. */
async function tampered(name: string, change?: (json: any) => unknown): Promise<string> {
  const bytes = await readFile(at(name));
  const path = at(`tampered-${name}`);
  if (change) await writeFile(path, JSON.stringify(change(JSON.parse(bytes.toString()))));
  else {
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await writeFile(path, bytes);
  }
  return path;
}

describe('npm run verify-record', () => {
  it('finds a record, its input, outputs, recipe and version as they were', async () => {
    const { code, lines } = await verify();

    expect(lines.filter((line) => !line.startsWith('ok'))).toEqual([
      `${lines.length - 1} ok, 0 wrong, 0 unchecked`,
    ]);
    expect(code).toBe(0);
  });

  it('takes one line of an export and a folder of the version as well', async () => {
    const record = JSON.parse(await readFile(at('record.json'), 'utf8')) as object;
    const other = { ...record, predictionId: '0'.repeat(24) };
    await writeFile(
      at('export.ndjson'),
      [other, record, other].map((r) => `${JSON.stringify(r)}\n`).join(''),
    );
    await run('mkdir', ['-p', at('unpacked')]);
    await run('tar', ['xf', at('version.tar'), '-C', at('unpacked')]);

    const { code } = await verify({ record: at('export.ndjson'), version: at('unpacked') });

    expect(code).toBe(0);
  });

  it.each([
    ['the input', 'input', async () => await tampered('input.bin')],
    ['the outputs', 'outputs', async () => await tampered('outputs.bin')],
    [
      'what the record says',
      'record',
      async () => await tampered('record.json', (json) => ({ ...json, callerId: 'other' })),
    ],
    [
      'the version that the proof names',
      'proof',
      async () =>
        await tampered('proof.json', (json) => ({ ...json, facts: { ...json.facts, version: 2 } })),
    ],
    [
      'the recipe in the manifest',
      'proof',
      async () =>
        await tampered('proof.json', (json) => ({
          ...json,
          manifest: { ...json.manifest, recipe: null },
        })),
    ],
    [
      'the digest that was kept',
      'digest',
      async () => await Promise.resolve(`sha256:${'0'.repeat(64)}`),
    ],
  ] as const)('finds out when %s was changed', async (_what, name, change) => {
    const { code, lines } = await verify({ [name]: await change() });

    expect(code).toBe(1);
    expect(lines.some((line) => line.startsWith('WRONG'))).toBe(true);
  });

  it('finds out when a file of the version was changed or is missing', async () => {
    await run('mkdir', ['-p', at('changed')]);
    await run('tar', ['xf', at('version.tar'), '-C', at('changed')]);
    await writeFile(join(at('changed'), 'model.json'), '{}');
    expect((await verify({ version: at('changed') })).lines.join()).toContain(
      'WRONG      file model.json',
    );
    await rm(join(at('changed'), 'model.json'));
    expect((await verify({ version: at('changed') })).lines.join()).toContain('missing');
  });

  it('says what it could not check', async () => {
    const { code, lines } = await verify({
      input: '',
      outputs: '',
      version: '',
      record: '',
      digest: '',
    });

    expect(code).toBe(0);
    expect(lines.at(-1)).toMatch(/0 wrong, [5-9] unchecked/);
  });

  it('says how it is used when it is not told what to check', async () => {
    expect(await verify({ proof: '' })).toMatchObject({ code: 2 });
  });
});

describe('GET /api/predictions/{id}/proof', () => {
  it('stays what it was after the version is deleted', async () => {
    const before = await readFile(at('proof.json'), 'utf8');
    await fetch(`${service.url}/api/models/digits/aliases/live`, { method: 'DELETE' });
    expect(await deleteOnceUnread(`${service.url}/api/models/digits/versions/1`)).toBe(204);

    const after = await fetch(`${service.url}/api/predictions/${predictionId}/proof`);

    expect(await after.json()).toEqual(JSON.parse(before));
  });

  it.each(['proof', 'outputs'])('answers for %s of what is not there', async (what) => {
    const unknown = await fetch(`${service.url}/api/predictions/${'0'.repeat(24)}/${what}`);
    expect(unknown.status).toBe(404);
    expect((await fetch(`${service.url}/api/predictions/x/${what}`)).status).toBe(400);
  });
});
