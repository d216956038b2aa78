// Running other programs from the set-up scripts.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** npm as it was started, so that the same version installs; else the one on the PATH. */
export function npm(...args) {
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js')) return [process.execPath, script, ...args];
  return process.platform === 'win32' ? ['npm.cmd', ...args] : ['npm', ...args];
}

/** Runs a program to its end and keeps what it says to itself, for when it fails. */
export function run([command, ...args], { cwd, env, timeout } = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    timeout,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    shell: command.endsWith('.cmd'),
  });
  return { ok: status === 0, output: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}` };
}

/** Headers of the running Node that lie beside it: with them a native build downloads none. */
export function localHeaders() {
  if (process.env.npm_config_nodedir) return {};
  const [major] = process.versions.node.split('.');
  const prefix = resolve(dirname(process.execPath), '..');
  const nodedir = [prefix, '/usr', '/usr/local'].find((folder) => {
    const header = join(folder, 'include/node/node_version.h');
    return (
      existsSync(header) &&
      new RegExp(`#define NODE_MAJOR_VERSION ${major}\\b`).test(readFileSync(header, 'utf8'))
    );
  });
  return nodedir ? { npm_config_nodedir: nodedir } : {};
}

export function tail(output) {
  return output.trimEnd().split('\n').slice(-30).join('\n');
}

export function seconds(started) {
  return `${((Date.now() - started) / 1000).toFixed(1)} s`;
}
