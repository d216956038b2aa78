import { parseArgs } from 'node:util';

import { type Bench, type Effort } from './bench';
import { benchBigUpload } from './big-upload.bench';
import { benchCodec } from './codec.bench';
import { benchColdLoad } from './cold-load.bench';
import { benchEngines } from './engines.bench';
import { benchPredict } from './predict.bench';
import { benchRecords } from './records.bench';
import { printResult, writeResults } from './report';
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
  records: benchRecords,
};

const USAGE = `usage: npm run bench -- [--rounds n] [--quick] [${Object.keys(BENCHES).join('|')} …]`;

/** 64 MiB of float32 weights, and 256 to load; the quick one has 6. */
const FULL: Effort = {
  rounds: 5,
  bigModel: [2048, 4096, 2048, 10],
  loadedModel: [4096, 8192, 4096, 10],
  loadMs: 1_500,
  slowModels: true,
  hugeBytes: 1024 ** 3,
  manyRecords: 1_000_000,
};
const QUICK: Effort = {
  rounds: 2,
  bigModel: [512, 2048, 256, 10],
  loadedModel: [512, 2048, 256, 10],
  loadMs: 400,
  slowModels: false,
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
    options: { rounds: { type: 'string' }, quick: { type: 'boolean', default: false } },
  });
  const effort = values.quick ? QUICK : FULL;
  const rounds = values.rounds === undefined ? effort.rounds : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError(USAGE);
  if (positionals.some((name) => !Object.hasOwn(BENCHES, name))) throw new TypeError(USAGE);
  return {
    benches: positionals.length > 0 ? positionals : Object.keys(BENCHES),
    effort: { ...effort, rounds },
    quick: values.quick,
  };
}

async function main(): Promise<void> {
  const { benches, effort, quick } = readOptions();
  const service = await startService();
  const interrupted = (signal: NodeJS.Signals): void => {
    // The database is a process of its own group: nobody else would stop it.
    void service.stop().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143));
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    console.log(`bench: engine ${service.engine}, node ${process.version}`);
    for (const name of benches) {
      const results = await BENCHES[name]!(service, effort);
      results.forEach(printResult);
      // A quick look must not replace figures that were measured with care.
      if (!quick) writeResults(name, service.engine, results);
    }
  } finally {
    await service.stop();
  }
}

main().catch((error: unknown) => {
  const { message, cause } = error instanceof Error ? error : { message: String(error) };
  console.error(`bench: ${message}${cause instanceof Error ? ` (${cause.message})` : ''}`);
  process.exitCode = 1;
});
