import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const root = join(__dirname, '../..');

describe('npm run bench', () => {
  it('says that it was ended, and does not blame the service for the load that broke off', async () => {
    const bench = spawn(
      process.execPath,
      [
        join(root, 'dist/bench/run.js'),
        ...['--quick', '--rounds', '1', '--models', 'mlp', '--connections', '8,32', 'predict'],
      ],
      {
        env: {
          ...process.env,
          GRIDSTOW_PEERS_PYTHON: '/nowhere',
          GRIDSTOW_MLSERVER_PYTHON: '/nowhere',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let [said, complained] = ['', ''];
    bench.stderr.on('data', (piece: Buffer) => (complained += piece.toString()));
    // The first result is printed: by now the load of the next one is under way.
    const measured = new Promise<void>((resolve) => {
      bench.stdout.on('data', (piece: Buffer) => {
        said += piece.toString();
        if (said.includes('8 connection(s)')) setTimeout(resolve, 300);
      });
    });
    const ended = once(bench, 'exit');

    await Promise.race([measured, ended]);
    bench.kill('SIGTERM');
    const [code] = (await ended) as [number | null];

    expect(complained).toContain('bench: ended by SIGTERM');
    expect(complained).not.toMatch(/refused|failed/);
    expect(said).toContain('every prediction recorded durably');
    expect(code).toBe(143);
  }, 180_000);
});
