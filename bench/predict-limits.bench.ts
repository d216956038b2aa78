import { alternate, type Contender, type Sample } from './alternate';
import { type Bench, type Effort } from './bench';
import { denseModel, mebibytes, type ModelFiles, withFreshWeights } from './bench-models';
import { HealthWatch } from './health-watch';
import { loadWith } from './load-client';
import { treeMemoryBytes } from './process-memory';
import { type Result } from './report';
import { asJson, asRawRows, PHOTOGRAPH, type SentBody } from './sent-bodies';
import { servedModel } from './served-models';
import { send, setRecording, upload, uploadBody } from './service-client';
import { type BenchService, startService } from './start-service';

/** A row of 8 KiB: a thousand of them are a body of 8 MiB that costs hardly any computing. */
const WIDE_ROW = 2048;
const LARGE_BODY_BYTES = 8 * 1024 * 1024;

interface Load extends SentBody {
  readonly name: string;
  readonly files: ModelFiles;
  readonly connections: number;
}

/** What predictions must not cost: others' patience, memory, a slow start after a swap, a core. */
export const benchPredictLimits: Bench = async function* (service, effort) {
  yield await benchHealth(service, effort);
  for (const engine of ['onnx', 'wasm'] as const) yield await benchExecutors(engine, effort);
  yield await benchSwap(service, effort);
};

/** How long `/health/live` takes under three kinds of load, and the memory of all of it then. */
async function benchHealth(service: BenchService, effort: Effort): Promise<Result> {
  const health = new HealthWatch(service.url);
  try {
    const contenders: Contender[] = [];
    for (const load of loads()) {
      await upload(service.url, load.name, await uploadBody(load.files));
      await setRecording(service.url, load.name, 'durable');
      contenders.push(underLoad(service, health, load, effort));
    }
    const standing = await alternate(contenders, effort.rounds);
    return {
      question: 'What others wait for /health/live while predictions are recorded durably',
      unit: 'requests/s',
      rounds: effort.rounds,
      ...standing,
      comparisons: [],
      notes: [
        'healthP99Ms is seen by another client in a process of its own, loopP99Ms from inside. All processes share the cores.',
        'treeMiB is the memory of the service and its executors behind that load (proportional set size), all models of this bench loaded.',
      ],
    };
  } finally {
    health.stop();
  }
}

function loads(): Load[] {
  const named = (name: string): ModelFiles => servedModel(name)?.files ?? {};
  const mlp = servedModel('mlp');
  return [
    ...(mlp ? [{ ...asJson(mlp), name: 'limits-mlp', files: mlp.files, connections: 32 }] : []),
    ...(servedModel('mobilenet')
      ? [{ ...PHOTOGRAPH, name: 'limits-mobilenet', files: named('mobilenet'), connections: 16 }]
      : []),
    {
      ...asRawRows(WIDE_ROW, LARGE_BODY_BYTES),
      sent: 'raw float32 of 8 MiB',
      ...{ name: 'limits-wide', files: denseModel([WIDE_ROW, 1]), connections: 2 },
    },
  ];
}

function underLoad(
  service: BenchService,
  health: HealthWatch,
  { name, sent, connections, contentType, body }: Load,
  { loadMs }: Effort,
): Contender {
  const url = `${service.url}/api/models/${name}/predict`;
  return {
    name: `${name.replace('limits-', '')}, ${sent}, ${connections} connections`,
    role: 'ours',
    run: async (): Promise<Sample> => {
      await Promise.all([service.probe(), health.read()]);
      const sample = await loadWith(url, { connections, loadMs: 2 * loadMs, contentType, body });
      const [loop, seen] = await Promise.all([service.probe(), health.read()]);
      const details = {
        ...sample.details,
        healthP50Ms: seen.p50Ms,
        healthP99Ms: seen.p99Ms,
        loopP99Ms: loop.delayP99Ms,
        treeMiB: mebibytes(treeMemoryBytes(service.pid)),
      };
      return { ...sample, details };
    },
  };
}

/** Where one executor finds its cores: only ONNX Runtime has threads of its own. */
const CORES_OF_ONE = {
  onnx: 'One executor computes on all cores, several on one each.',
  wasm: 'One executor computes on one core.',
};

/** Rows a second of all executors beside those of one, each in a service of its own. */
async function benchExecutors(
  engine: keyof typeof CORES_OF_ONE,
  { rounds, loadMs }: Effort,
): Promise<Result> {
  const name = 'conv28';
  const rows = 64;
  const { files } = servedModel(name)!;
  const sent = asRawRows(28 * 28, rows * 28 * 28 * 4);
  const services: BenchService[] = [];
  try {
    const contenders: Contender[] = [];
    for (const executors of [null, 1]) {
      const service = await startService({
        GRIDSTOW_ENGINE: engine,
        ...(executors === null ? {} : { GRIDSTOW_EXECUTORS: String(executors) }),
      });
      services.push(service);
      await upload(service.url, name, await uploadBody(files));
      await setRecording(service.url, name, 'off');
      const url = `${service.url}/api/models/${name}/predict`;
      contenders.push({
        name: executors === null ? 'as many executors as cores' : 'one executor',
        role: executors === null ? 'ours' : 'floor',
        run: async () => {
          const sample = await loadWith(url, { connections: 8, loadMs, ...sent });
          return { ...sample, perSecond: sample.perSecond * rows };
        },
      });
    }
    return {
      question: `A conv net for 28x28 images, raw float32, ${rows} rows each, 8 connection(s), engine ${engine}, not recorded`,
      unit: 'rows/s',
      rounds,
      ...(await alternate(contenders, rounds)),
      notes: [`${CORES_OF_ONE[engine]} The client shares them.`],
    };
  } finally {
    for (const service of services) await service.stop();
  }
}

const STEADY_REQUESTS = 200;
const SWAPS = 10;

/** The first request that a version answers after the alias came to point at it. */
async function benchSwap(service: BenchService, { rounds }: Effort): Promise<Result> {
  const { files, row } = servedModel('mlp')!;
  const model = 'limits-swap';
  for (const round of [0, 1]) {
    await upload(service.url, model, await uploadBody(withFreshWeights(files, round)));
  }
  const point = async (version: number): Promise<void> => {
    await send('PUT', `${service.url}/api/models/${model}/aliases/live`, { version });
  };
  let asked = 0;
  const ask = async (): Promise<number> => {
    const startMs = performance.now();
    await send('POST', `${service.url}/api/models/${model}@live/predict`, {
      instances: [row(++asked / 1e6)],
    });
    return performance.now() - startMs;
  };
  const steady = async (): Promise<Sample> => {
    const times: number[] = [];
    for (let count = 0; count < STEADY_REQUESTS; count++) times.push(await ask());
    return medianRate(times);
  };
  const swapped = async (): Promise<Sample> => {
    const times: number[] = [];
    for (let swap = 0; swap < SWAPS; swap++) {
      await point((swap % 2) + 1);
      times.push(await ask());
    }
    return medianRate(times);
  };
  await point(2);
  return {
    question: 'The first request after a swap, one connection, recorded durably',
    unit: 'requests/s by the median time',
    rounds,
    ...(await alternate(
      [
        { name: `first after each of ${SWAPS} swaps`, role: 'ours', run: swapped },
        { name: 'all requests between swaps', role: 'floor', run: steady },
      ],
      rounds,
    )),
    notes: ['Half of the others is twice their time.'],
  };
}

function medianRate(timesMs: readonly number[]): Sample {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const medianMs = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  return { perSecond: 1000 / medianMs, details: { medianMs, maxMs: sorted.at(-1) ?? NaN } };
}
