import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../src/mongo/free-port';
import { type ModelFiles } from './bench-models';

const FOLDER = join(__dirname, '../../bench/peers');
const WORKERS = 2;
const START_MS = 120_000;
const POLL_MS = 200;

/** The FastAPI service of bench/peers with one model. */
export interface PythonPeer {
  readonly url: string;
  stop(): Promise<void>;
}

let python: string | null | undefined;

/** A Python that has what the peer needs, or null: then it is left out, and the bench says so. */
export function peerPython(): string | null {
  if (python !== undefined) return python;
  const candidate = process.env['GRIDSTOW_PEERS_PYTHON'] ?? 'python3';
  try {
    const needed =
      'import importlib.util as u\nfor name in ("tensorflow", "fastapi", "uvicorn", "pymongo", "orjson", "PIL"):\n  assert u.find_spec(name), name';
    execFileSync(candidate, ['-c', needed], { stdio: 'ignore' });
    python = candidate;
  } catch {
    console.log(
      'bench: left out FastAPI with TensorFlow (GRIDSTOW_PEERS_PYTHON names a Python that has tensorflow 2.15, fastapi, uvicorn, pymongo, orjson and pillow)',
    );
    python = null;
  }
  return python;
}

export async function startPythonPeer(
  files: ModelFiles,
  mongoUri: string,
): Promise<PythonPeer | null> {
  const executable = peerPython();
  if (executable === null) return null;
  const folder = mkdtempSync(join(tmpdir(), 'gridstow-peer-'));
  const modelJson = join(folder, 'model.json');
  writeFileSync(modelJson, files['model.json'] ?? '');
  const port = await freePort();
  const child = spawn(
    executable,
    [
      '-m',
      'uvicorn',
      'fastapi_service:app',
      '--workers',
      String(WORKERS),
      '--port',
      String(port),
      '--log-level',
      'error',
      '--no-access-log',
    ],
    {
      cwd: FOLDER,
      env: {
        ...process.env,
        PEER_MODEL_JSON: modelJson,
        PEER_MONGODB_URI: mongoUri,
        PYTHONDONTWRITEBYTECODE: '1',
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const url = `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilHealthy(child, `${url}/health`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `${url}/predict`, stop };
}

async function untilHealthy(child: ChildProcess, url: string): Promise<void> {
  const deadline = Date.now() + START_MS;
  // The other worker may need a moment longer: both have to answer.
  for (let healthy = 0; healthy < 10 * WORKERS;) {
    if (child.exitCode !== null)
      throw new TypeError(`the FastAPI service ended with ${child.exitCode}`);
    if (Date.now() > deadline) throw new TypeError('the FastAPI service does not answer');
    const isOk = await fetch(url, { headers: { Connection: 'close' } }).then(
      (response) => response.ok,
      () => false,
    );
    if (isOk) healthy++;
    else await sleep(POLL_MS);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}
