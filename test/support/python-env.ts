import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A Python with packages of its own, in a temporary folder. */
export interface PythonEnv {
  readonly folder: string;
  /** Runs a script; fails with what it wrote to stderr. @returns stdout */
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<string>;
  remove(): void;
}

/** @returns the sentence that says why, where there is no Python or the packages are not to be had */
export async function makePythonEnv(packages: readonly string[]): Promise<PythonEnv | string> {
  const folder = mkdtempSync(join(tmpdir(), 'gridstow-python-'));
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true });
  };
  const python = join(folder, 'venv/bin/python');
  try {
    await run('python3', ['-m', 'venv', join(folder, 'venv')]);
    const options = ['--quiet', '--no-compile', '--only-binary', ':all:'];
    await run(python, ['-m', 'pip', 'install', ...options, ...packages]);
  } catch (error) {
    remove();
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return `no Python with ${packages.join(', ')} here (${why ?? ''})`;
  }
  return {
    folder,
    remove,
    run: async (args, env = {}) =>
      (await run(python, [...args], { env: { ...process.env, ...env } })).stdout,
  };
}
