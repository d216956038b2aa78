import { parseArgs } from 'node:util';

import { type BenchService, startBenchService } from './bench-service';
import { benchColdLoad } from './cold-load.bench';
import { benchPredict } from './predict.bench';
import { benchUpload } from './upload.bench';

const BENCHES: Readonly<Record<string, (service: BenchService, rounds: number) => Promise<void>>> =
  {
    upload: benchUpload,
    'cold-load': benchColdLoad,
    predict: benchPredict,
  };

/** `npm run bench`, `npm run bench -- predict`, `npm run bench -- --rounds 9`. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: 'string', default: '5' } },
  });
  const rounds = Number(values.rounds);
  const unknown = positionals.filter((name) => !(name in BENCHES));
  if (!(rounds >= 1) || unknown.length > 0) {
    throw new TypeError(`usage: npm run bench -- [--rounds n] [${Object.keys(BENCHES).join('|')}]`);
  }
  const wanted = positionals.length > 0 ? positionals : Object.keys(BENCHES);
  const service = await startBenchService();
  try {
    for (const name of wanted) await BENCHES[name]?.(service, rounds);
  } finally {
    await service.stop();
  }
}

main().catch((error: unknown) => {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
