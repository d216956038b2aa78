import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { alternate, type Contender } from './alternate';
import { type Bench } from './bench';
import { loadWith } from './load-client';
import { type PythonPeer, startPythonPeer } from './python-peer';
import { type Result } from './report';
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
const IMAGE_CONNECTIONS = [1, 16];
/** A request of a slow model takes longer than a quick one's whole load. */
const SLOW_FACTOR = 2;

/** How many predictions a second, with and without a record of each, and where is the limit? */
export const benchPredict: Bench = async (service, effort) => {
  const results: Result[] = [];
  for (const name of SERVED_MODELS) {
    const isSlow = SLOW_MODELS.includes(name);
    if (isSlow && !effort.slowModels) continue;
    const served = servedModel(name);
    if (!served) {
      console.log(`bench: left out ${name}, which is not here (GRIDSTOW_FIXTURES)`);
      continue;
    }
    const body = await uploadBody(served.files);
    for (const recording of RECORDINGS) {
      await upload(service.url, `${name}-${recording}`, body);
      await setRecording(service.url, `${name}-${recording}`, recording);
    }
    const peer = await startPythonPeer(served.files, service.mongoUri);
    const floors = { silent: await startFloor(SILENT), computing: await startFloor(name) };
    const loadMs = effort.loadMs * (isSlow ? SLOW_FACTOR : 1);
    const setting = { service, rounds: effort.rounds, loadMs, name, served, floors, peer };
    try {
      for (const connections of isSlow ? [1, 32] : CONNECTIONS) {
        results.push(await measure({ ...setting, connections, ...asJson(served) }));
      }
      for (const connections of served.takesImages === true ? IMAGE_CONNECTIONS : []) {
        results.push(await measure({ ...setting, connections, ...PHOTOGRAPH }));
      }
    } finally {
      await peer?.stop();
      for (const { process } of Object.values(floors)) process.kill('SIGTERM');
    }
  }
  return results;
};

const RECORDINGS = ['durable', 'queued', 'off'] as const;

interface Setting {
  readonly service: BenchService;
  readonly rounds: number;
  readonly loadMs: number;
  readonly name: string;
  readonly served: ServedModel;
  readonly floors: { readonly silent: Floor; readonly computing: Floor };
  readonly peer: PythonPeer | null;
  readonly connections: number;
  readonly sent: string;
  readonly contentType: string;
  readonly body: () => string | Buffer;
}

async function measure(setting: Setting): Promise<Result> {
  const { service, rounds, loadMs, name, served, floors, peer, connections } = setting;
  const { sent, contentType, body } = setting;
  const over = (title: string, role: Contender['role'], url: string): Contender => ({
    name: title,
    role,
    run: async () => await loadWith(url, { connections, loadMs, contentType, body }),
  });
  const ours = (recording: (typeof RECORDINGS)[number]): string =>
    `${service.url}/api/models/${name}-${recording}/predict`;
  const isJson = contentType === 'application/json';
  const standing = await alternate(
    [
      over('service, every prediction recorded durably', 'ours', ours('durable')),
      over('service, recording queued', 'ours', ours('queued')),
      over('service, recording off', 'ours', ours('off')),
      ...(peer
        ? [over('FastAPI + TensorFlow, two workers, recorded durably', 'peer', peer.url)]
        : []),
      ...(isJson
        ? [over('node:http + tfjs wasm on its one thread', 'peer', floors.computing.url)]
        : []),
      over('node:http that reads the body, answers nothing', 'floor', floors.silent.url),
      {
        name: 'bare tfjs wasm, one thread, no HTTP, row by row',
        role: 'floor',
        run: async () => ({ perSecond: await loop(floors.computing, served, loadMs) }),
      },
    ],
    rounds,
  );
  return {
    question: `Predictions of ${served.what}, ${sent}, one row each, ${connections} connection(s)`,
    unit: 'requests/s',
    rounds,
    ...standing,
    notes: [],
  };
}

let requests = 0;

/** Stands where each request has a number of its own. */
const MARK = 0.123456789;

/** Every request has an input of its own, so that every input is stored. */
function asJson({ row }: ServedModel): Pick<Setting, 'sent' | 'contentType' | 'body'> {
  // Written once: a large row would take the client longer than the service.
  const [before = '', behind = ''] = JSON.stringify({ instances: [row(MARK)] }).split(String(MARK));
  return {
    sent: 'JSON',
    contentType: 'application/json',
    body: () => before + String(++requests / 2 ** 24) + behind,
  };
}

/** A JPEG with another comment each time: decoders do not look at what stands behind its end. */
const PHOTOGRAPH = {
  sent: 'JPEG',
  contentType: 'image/jpeg',
  body: (): Buffer => Buffer.concat([photograph(), Buffer.from(String(++requests))]),
};

let jpeg: Buffer | undefined;

function photograph(): Buffer {
  const root = process.env['GRIDSTOW_FIXTURES'] ?? join(__dirname, '../../../shared/fixtures');
  jpeg ??= readFileSync(join(root, 'images/cat-rgb.jpg'));
  return jpeg;
}

interface Floor {
  readonly url: string;
  readonly process: ChildProcess;
}

async function startFloor(kind: string): Promise<Floor> {
  const child = fork(join(__dirname, 'floor-server.entry.js'), [kind]);
  const [port] = (await once(child, 'message')) as [number];
  return { url: `http://127.0.0.1:${port}/`, process: child };
}

async function loop(floor: Floor, { row }: ServedModel, loopMs: number): Promise<number> {
  floor.process.send({ row: row(0.5), loopMs } satisfies LoopRequest);
  const [perSecond] = (await once(floor.process, 'message')) as [number];
  return perSecond;
}
