import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(__dirname, '../..');
let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gridstow-demo-'));
});

afterEach(async () => {
  await rm(dataDir, { recursive: true, force: true });
});

async function demo(): Promise<{ readonly code: number | null; readonly output: string }> {
  const env = { ...process.env, GRIDSTOW_DATA_DIR: dataDir, PORT: '0', MONGODB_URI: '' };
  const child = spawn('npm', ['run', 'demo', '--', '--exit'], { cwd: root, env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => {
      output += piece.toString();
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

describe('npm run demo -- --exit', () => {
  it('tells the whole story on an empty store, and again on a full one', async () => {
    const first = await demo();

    expect(first).toMatchObject({ code: 0 });
    expect(first.output).toMatch(/uploaded version 1 \(quick\)/);
    expect(first.output).toMatch(/uploaded version 2 \(better\)/);
    expect(first.output).toMatch(/rolled back: live answers with version 1/);
    expect(first.output).toMatch(/promoted again: live is version 2/);

    const second = await demo();

    expect(second).toMatchObject({ code: 0 });
    expect(second.output).toMatch(/version 1 \(quick\) is there already/);
    expect(second.output).toMatch(/promoted again: live is version 2/);
  });
});
