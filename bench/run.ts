import { parseArgs } from 'node:util';

import { type Bench, type Effort } from './bench';
import { benchBigUpload } from './big-upload.bench';
import { benchCodec } from './codec.bench';
import { benchColdLoad } from './cold-load.bench';
import { benchEngines } from './engines.bench';
import { benchPredict } from './predict.bench';
import { benchPredictLimits } from './predict-limits.bench';
import { benchRecords } from './records.bench';
import { forgetResults, keepResult, measuringNow, printResult, type Result } from './report';
import { startService } from './start-service';
import { benchStore } from './store.bench';
import { benchUpload } from './upload.bench';

const BENCHES: Readonly<Record<string, Bench>> = {
  upload: benchUpload,
  'big-upload': benchBigUpload,
  store: benchStore,
  'cold-load': benchColdLoad,
  codec: benchCodec,
  engines: benchEngines,
  predict: benchPredict,
  'predict-limits': benchPredictLimits,
  records: benchRecords,
};

const USAGE = `usage: npm run bench -- [--rounds n] [--quick] [--models a,b] [--connections 1,32] [${Object.keys(BENCHES).join('|')} …]`;

/** 64 MiB of float32 weights, and 256 to load; the quick one has 6. */
const FULL: Effort = {
  rounds: 5,
  bigModel: [2048, 4096, 2048, 10],
  loadedModel: [4096, 8192, 4096, 10],
  loadMs: 1_500,
  slowModels: true,
  models: null,
  connections: null,
  hugeBytes: 1024 ** 3,
  manyRecords: 1_000_000,
};
const QUICK: Effort = {
  rounds: 2,
  bigModel: [512, 2048, 256, 10],
  loadedModel: [512, 2048, 256, 10],
  loadMs: 400,
  slowModels: false,
  models: null,
  connections: null,
  hugeBytes: 64 * 1024 ** 2,
  manyRecords: 20_000,
};

interface Options {
  readonly benches: readonly string[];
  readonly effort: Effort;
  readonly quick: boolean;
}

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      models: { type: 'string' },
      connections: { type: 'string' },
    },
  });
  const effort = values.quick ? QUICK : FULL;
  const rounds = values.rounds === undefined ? effort.rounds : Number(values.rounds);
  const models = values.models?.split(',') ?? null;
  const connections = values.connections?.split(',').map(Number) ?? null;
  if (![rounds, ...(connections ?? [])].every((count) => Number.isInteger(count) && count > 0)) {
    throw new TypeError(USAGE);
  }
  if (positionals.some((name) => !Object.hasOwn(BENCHES, name))) throw new TypeError(USAGE);
  return {
    benches: positionals.length > 0 ? positionals : Object.keys(BENCHES),
    effort: { ...effort, rounds, models, connections },
    quick: values.quick,
  };
}

const LEAVE_WITHIN_MS = 20_000;

/** What ended the run before its time; nothing that fails afterwards says anything of the service. */
let interruptedBy: NodeJS.Signals | undefined;

async function main(): Promise<void> {
  const { benches, effort, quick } = readOptions();
  const service = await startService();
  const interrupt = (signal: NodeJS.Signals): void => {
    interruptedBy = signal;
    console.error(`bench: ended by ${signal}; what is printed above was measured before`);
    process.exitCode = signal === 'SIGINT' ? 130 : 143;
    // Then the load fails, and what the bench has started ends with it; but not at any price.
    void service.stop();
    setTimeout(() => process.exit(), LEAVE_WITHIN_MS).unref();
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    console.log(`bench: engine ${service.engine}, node ${process.version}`);
    const measuring = measuringNow(service.engine);
    const isSlice = effort.models !== null || effort.connections !== null;
    for (const name of benches) {
      // A quick look must not replace figures that were measured with care.
      if (!quick && !isSlice) forgetResults(name);
      const startMs = performance.now();
      for await (const result of answersOf(BENCHES[name]!(service, effort))) {
        if (interruptedBy !== undefined) return;
        printResult(result);
        if (!quick) keepResult(name, measuring, result);
      }
      console.log(`bench: ${name} took ${((performance.now() - startMs) / 60_000).toFixed(1)} min`);
    }
  } finally {
    await service.stop();
  }
}

async function* answersOf(bench: ReturnType<Bench>): AsyncGenerator<Result> {
  yield* Symbol.asyncIterator in bench ? bench : await bench;
}

main().catch((error: unknown) => {
  // The service was being stopped: that its load failed is no finding.
  if (interruptedBy !== undefined) return;
  const { message, cause } = error instanceof Error ? error : { message: String(error) };
  console.error(`bench: ${message}${cause instanceof Error ? ` (${cause.message})` : ''}`);
  process.exitCode = 1;
});
