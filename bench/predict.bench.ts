import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { alternate, type Contender } from './alternate';
import { type Bench, type Effort } from './bench';
import { loadWith } from './load-client';
import { type Result } from './report';
import {
  type LoopRequest,
  SERVED_MODELS,
  servedModel,
  type ServedModel,
  SILENT,
} from './served-models';
import { turnRecordingOff, upload, uploadBody } from './service-client';
import { type BenchService } from './start-service';

/** How many predictions a second, with and without a record of each, and where is the limit? */
export const benchPredict: Bench = async (service, effort) => {
  const results: Result[] = [];
  for (const name of SERVED_MODELS) {
    const served = servedModel(name);
    if (!served) {
      console.log(`bench: left out ${name}, which is not here (GRIDSTOW_FIXTURES)`);
      continue;
    }
    const body = await uploadBody(served.files);
    for (const model of [name, `${name}-unrecorded`]) await upload(service.url, model, body);
    await turnRecordingOff(service.url, `${name}-unrecorded`);
    const floors = { silent: await startFloor(SILENT), computing: await startFloor(name) };
    try {
      for (const connections of [1, 32]) {
        results.push(await measure({ service, effort, name, served, floors, connections }));
      }
    } finally {
      for (const { process } of Object.values(floors)) process.kill('SIGTERM');
    }
  }
  return results;
};

interface Setting {
  readonly service: BenchService;
  readonly effort: Effort;
  readonly name: string;
  readonly served: ServedModel;
  readonly floors: { readonly silent: Floor; readonly computing: Floor };
  readonly connections: number;
}

async function measure(setting: Setting): Promise<Result> {
  const { service, effort, name, served, floors, connections } = setting;
  const over = (title: string, role: Contender['role'], url: string): Contender => ({
    name: title,
    role,
    run: async () =>
      await loadWith(url, { connections, loadMs: effort.loadMs, body: () => nextBody(served) }),
  });
  const models = `${service.url}/api/models`;
  const standing = await alternate(
    [
      over('service, every prediction recorded durably', 'ours', `${models}/${name}/predict`),
      over('service, recording off', 'ours', `${models}/${name}-unrecorded/predict`),
      over('node:http + tfjs wasm on its one thread', 'peer', floors.computing.url),
      over('node:http that reads the body, answers nothing', 'floor', floors.silent.url),
      {
        name: 'bare engine, one thread, no HTTP, row by row',
        role: 'floor',
        run: async () => ({ perSecond: await loop(floors.computing, served, effort.loadMs) }),
      },
    ],
    effort.rounds,
  );
  return {
    question: `Predictions of ${served.what}, JSON, one row each, ${connections} connection(s)`,
    unit: 'requests/s',
    rounds: effort.rounds,
    ...standing,
    notes: [],
  };
}

let requests = 0;

/** Every request has an input of its own, so that every input is stored. */
function nextBody({ row }: ServedModel): string {
  return JSON.stringify({ instances: [row(++requests / 2 ** 24)] });
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
