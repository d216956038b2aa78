import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../src/mongo/free-port';
import { type ModelFiles } from './bench-models';
import { asInference, asJson, type SentBody } from './sent-bodies';
import { type ServedModel } from './served-models';

const FOLDER = join(__dirname, '../../bench/peers');
const WORKERS = 2;
const START_MS = 120_000;
const POLL_MS = 200;
const STOP_GRACE_MS = 5_000;

/** A prediction service in Python with one model, each prediction recorded before it is answered. */
export interface PythonPeer {
  readonly title: string;
  readonly url: string;
  readonly takesImages: boolean;
  readonly asJson: (served: ServedModel, rows: number) => SentBody;
  stop(): Promise<void>;
}

interface PeerKind {
  readonly title: string;
  /** The variable that names a Python which has what the peer needs. */
  readonly variable: string;
  readonly packages: readonly string[];
  readonly takesImages: boolean;
  readonly asJson: (served: ServedModel, rows: number) => SentBody;
  readonly path: string;
  readonly healthPath: string;
  /** Python's arguments; what has to stand in files is written into the folder. */
  readonly command: (port: number, folder: string) => readonly string[];
}

const FASTAPI: PeerKind = {
  title: 'FastAPI + TensorFlow, two workers, recorded durably',
  variable: 'GRIDSTOW_PEERS_PYTHON',
  packages: ['tensorflow', 'fastapi', 'uvicorn', 'pymongo', 'orjson', 'PIL'],
  takesImages: true,
  asJson,
  path: '/predict',
  healthPath: '/health',
  command: (port) => [
    ...['-m', 'uvicorn', 'fastapi_service:app', '--workers', String(WORKERS)],
    ...['--port', String(port), '--log-level', 'error', '--no-access-log'],
  ],
};

/** How many requests MLServer gathers, and for how long: its documentation's orders of magnitude. */
const BATCHING = { max_batch_size: 32, max_batch_time: 0.005 };

const MLSERVER: PeerKind = {
  title: 'MLServer + TensorFlow, two workers, recorded durably',
  variable: 'GRIDSTOW_MLSERVER_PYTHON',
  packages: ['tensorflow', 'mlserver', 'pymongo'],
  takesImages: false,
  asJson: asInference,
  path: '/v2/models/peer/infer',
  healthPath: '/v2/models/peer/ready',
  command: mlserverCommand({}),
};

export const PEERS: readonly PeerKind[] = [
  FASTAPI,
  MLSERVER,
  {
    ...MLSERVER,
    title: 'MLServer + TensorFlow, two workers, batching, recorded durably',
    command: mlserverCommand(BATCHING),
  },
];

function mlserverCommand(batching: object): PeerKind['command'] {
  return (port, folder) => {
    const model = { name: 'peer', implementation: 'mlserver_runtime.RecordedModel', ...batching };
    const settings = {
      ...{ host: '127.0.0.1', http_port: port, grpc_port: port + 1, metrics_port: port + 2 },
      ...{ parallel_workers: WORKERS, debug: false },
    };
    writeFileSync(join(folder, 'model-settings.json'), JSON.stringify(model));
    writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings));
    return ['-m', 'mlserver.cli.main', 'start', folder];
  };
}

const pythons = new Map<string, string | null>();

/** A Python that has what a peer needs, or null: then it is left out, and the bench says so. */
function pythonFor({ title, variable, packages }: PeerKind): string | null {
  const known = pythons.get(variable);
  if (known !== undefined) return known;
  const candidate = process.env[variable] ?? 'python3';
  let python: string | null = candidate;
  try {
    const names = packages.map((name) => JSON.stringify(name)).join(', ');
    const needed = `import importlib.util as u\nfor name in (${names}):\n  assert u.find_spec(name), name`;
    execFileSync(candidate, ['-c', needed], { stdio: 'ignore' });
  } catch {
    console.log(
      `bench: left out ${title} (${variable} names a Python that has ${packages.join(', ')})`,
    );
    python = null;
  }
  pythons.set(variable, python);
  return python;
}

/** Null where its Python is not at hand. */
export async function startPythonPeer(
  kind: PeerKind,
  files: ModelFiles,
  mongoUri: string,
): Promise<PythonPeer | null> {
  const executable = pythonFor(kind);
  if (executable === null) return null;
  const folder = mkdtempSync(join(tmpdir(), 'gridstow-peer-'));
  const modelJson = join(folder, 'model.json');
  writeFileSync(modelJson, files['model.json'] ?? '');
  const port = await freePort();
  const child = spawn(executable, kind.command(port, folder), {
    // MLServer leaves files where it runs.
    cwd: folder,
    env: {
      ...process.env,
      PEER_MODEL_JSON: modelJson,
      PEER_MONGODB_URI: mongoUri,
      PYTHONPATH: FOLDER,
      PYTHONDONTWRITEBYTECODE: '1',
    },
    stdio: ['ignore', 'ignore', 'ignore'],
    detached: true,
  });
  const url = `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilHealthy(child, `${url}${kind.healthPath}`);
  } catch (error) {
    await stop();
    throw error;
  }
  const { title, takesImages } = kind;
  return { title, takesImages, asJson: kind.asJson, url: `${url}${kind.path}`, stop };
}

async function untilHealthy(child: ChildProcess, url: string): Promise<void> {
  const deadline = Date.now() + START_MS;
  // The other worker may need a moment longer: both have to answer.
  for (let healthy = 0; healthy < 10 * WORKERS;) {
    if (child.exitCode !== null) throw new TypeError(`a peer ended with ${child.exitCode}`);
    if (Date.now() > deadline) throw new TypeError(`a peer does not answer at ${url}`);
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
  // Workers of its own may keep it: they go with their group.
  const late = setTimeout(() => {
    killGroup(child);
  }, STOP_GRACE_MS);
  await gone;
  clearTimeout(late);
  killGroup(child);
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left in it.
  }
}
