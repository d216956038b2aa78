import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { alternate, type Contender, type Sample } from './alternate';
import { type Bench, type Effort } from './bench';
import { HealthWatch } from './health-watch';
import { loadWith } from './load-client';
import { PEERS, type PythonPeer, startPythonPeer } from './python-peer';
import { type Result } from './report';
import { asJson, PHOTOGRAPH, type SentBody } from './sent-bodies';
import {
  type LoopRequest,
  SERVED_MODELS,
  servedModel,
  type ServedModel,
  SILENT,
  SLOW_MODELS,
} from './served-models';
import { setRecording, upload, uploadBody } from './service-client';
import { type BenchService } from './start-service';

const CONNECTIONS = [1, 8, 32, 128];
/** A large row at 128 connections measures how fast the client writes JSON. */
const SLOW_CONNECTIONS = [1, 8, 32];
const IMAGE_CONNECTIONS = [1, 16];
/** A batch that one client sends as a whole, asked of the model whose rows are neither tiny nor slow. */
const BATCH = { rows: 32, connections: 1, of: 'conv28' };
/** A request of a slow model takes longer than a quick one's whole load. */
const SLOW_FACTOR = 2;

const RECORDINGS = ['durable', 'queued', 'off'] as const;

/** How many predictions a second, with and without a record of each, and where is the limit? */
export const benchPredict: Bench = async function* (service, effort) {
  for (const name of SERVED_MODELS) {
    if (effort.models?.includes(name) === false) continue;
    const isSlow = SLOW_MODELS.includes(name);
    if (isSlow && !effort.slowModels) continue;
    const served = servedModel(name);
    if (!served) {
      console.log(`bench: left out ${name}, which is not here (GRIDSTOW_FIXTURES)`);
      continue;
    }
    yield* benchModel(service, effort, name, served, isSlow);
  }
};

async function* benchModel(
  service: BenchService,
  effort: Effort,
  name: string,
  served: ServedModel,
  isSlow: boolean,
): AsyncGenerator<Result> {
  const body = await uploadBody(served.files);
  for (const recording of RECORDINGS) {
    await upload(service.url, `${name}-${recording}`, body);
    await setRecording(service.url, `${name}-${recording}`, recording);
  }
  const cleanUp: (() => unknown)[] = [];
  try {
    const peers: PythonPeer[] = [];
    for (const kind of PEERS) {
      const peer = await startPythonPeer(kind, served.files, service.mongoUri);
      if (!peer) continue;
      peers.push(peer);
      cleanUp.push(async () => {
        await peer.stop();
      });
    }
    const floor = async (...args: string[]): Promise<Floor> => {
      const started = await startFloor(args);
      cleanUp.push(() => started.process.kill('SIGTERM'));
      return started;
    };
    const floors = {
      silent: await floor(SILENT),
      wasm: await floor(name, 'wasm'),
      onnx: await floor(name, 'onnx'),
    };
    const health = new HealthWatch(service.url);
    cleanUp.push(() => {
      health.stop();
    });
    const loadMs = effort.loadMs * (isSlow ? SLOW_FACTOR : 1);
    const { rounds } = effort;
    const setting = { service, rounds, loadMs, name, served, floors, peers, health };
    const wanted = (connections: number): boolean =>
      effort.connections?.includes(connections) !== false;
    for (const connections of (isSlow ? SLOW_CONNECTIONS : CONNECTIONS).filter(wanted)) {
      yield await measure({ ...setting, connections, rows: 1, ...asJson(served) });
    }
    if (name === BATCH.of && wanted(BATCH.connections)) {
      const { rows: batchRows, connections } = BATCH;
      const sent = asJson(served, batchRows);
      yield await measure({ ...setting, connections, rows: batchRows, ...sent });
    }
    for (const connections of served.takesImages === true ? IMAGE_CONNECTIONS : []) {
      if (wanted(connections))
        yield await measure({ ...setting, connections, rows: 1, ...PHOTOGRAPH });
    }
  } finally {
    for (const step of cleanUp.toReversed()) await step();
  }
}

interface Setting extends SentBody {
  readonly service: BenchService;
  readonly rounds: number;
  readonly loadMs: number;
  readonly name: string;
  readonly served: ServedModel;
  readonly floors: Readonly<Record<'silent' | 'wasm' | 'onnx', Floor>>;
  readonly peers: readonly PythonPeer[];
  readonly health: HealthWatch;
  readonly connections: number;
  readonly rows: number;
}

async function measure(setting: Setting): Promise<Result> {
  const { service, rounds, loadMs, name, served, floors, peers, health, connections } = setting;
  const { sent, contentType, body, rows } = setting;
  const over = (
    title: string,
    role: Contender['role'],
    url: string,
    own: Partial<SentBody> = {},
  ): Contender => ({
    name: title,
    role,
    run: async () => await loadWith(url, { connections, loadMs, contentType, body, ...own }),
  });
  const ours = (title: string, recording: (typeof RECORDINGS)[number]): Contender => {
    const url = `${service.url}/api/models/${name}-${recording}/predict`;
    const contender = over(title, 'ours', url);
    return { ...contender, run: async () => await watched(contender, service, health) };
  };
  const isJson = contentType === 'application/json';
  const standing = await alternate(
    [
      ours('service, every prediction recorded durably', 'durable'),
      ours('service, recording queued', 'queued'),
      ours('service, recording off', 'off'),
      ...peers
        .filter((peer) => isJson || peer.takesImages)
        .map((peer) => over(peer.title, 'peer', peer.url, isJson ? peer.asJson(served, rows) : {})),
      ...(isJson
        ? [
            over('node:http + tfjs wasm on its one thread', 'peer', floors.wasm.url),
            over('node:http + onnxruntime-node, no store', 'floor', floors.onnx.url),
          ]
        : []),
      over('node:http that reads the body, answers nothing', 'floor', floors.silent.url),
      {
        name: 'bare tfjs wasm, one thread, no HTTP, row by row',
        role: 'floor',
        run: async () => ({ perSecond: await loop(floors.wasm, served, loadMs) }),
      },
    ],
    rounds,
  );
  return {
    question: `Predictions of ${served.what}, ${sent}, ${rows === 1 ? 'one row' : `${rows} rows`} each, ${connections} connection(s)`,
    unit: 'requests/s',
    rounds,
    ...standing,
    notes: [],
  };
}

/** What another client waits for `/health/live` meanwhile, and what the event loop says of it. */
async function watched(
  { run }: Contender,
  service: BenchService,
  health: HealthWatch,
): Promise<Sample> {
  await Promise.all([service.probe(), health.read()]);
  const sample = await run();
  const [{ delayP99Ms }, { p99Ms }] = await Promise.all([service.probe(), health.read()]);
  return { ...sample, details: { ...sample.details, healthP99Ms: p99Ms, loopP99Ms: delayP99Ms } };
}

interface Floor {
  readonly url: string;
  readonly process: ChildProcess;
}

async function startFloor(args: readonly string[]): Promise<Floor> {
  const child = fork(join(__dirname, 'floor-server.entry.js'), args);
  const [port] = (await once(child, 'message')) as [number];
  return { url: `http://127.0.0.1:${port}/`, process: child };
}

async function loop(floor: Floor, { row }: ServedModel, loopMs: number): Promise<number> {
  floor.process.send({ row: row(0.5), loopMs } satisfies LoopRequest);
  const [perSecond] = (await once(floor.process, 'message')) as [number];
  return perSecond;
}
