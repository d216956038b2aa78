import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { StoreError } from '../src/common/errors';
import { type Service, startService } from '../src/service';

/** Training keeps a thread busy, so the story is told by a process of its own. */
async function tellStory(url: string): Promise<number> {
  const seed = spawn(process.execPath, [join(__dirname, 'seed.js'), '--url', url], {
    stdio: 'inherit',
  });
  const [code] = (await once(seed, 'exit')) as [number | null];
  return code ?? 1;
}

async function stop(service: Service, code: number): Promise<never> {
  await service.stop();
  process.exit(code);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { exit: { type: 'boolean', default: false } } });
  const service = await startService({ LOG_LEVEL: 'warn', ...process.env });
  console.log(`demo: the service listens on ${service.url} (${service.engine.name} engine)`);
  let stopping = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(130);
      stopping = true;
      void stop(service, 0);
    });
  }
  const code = await tellStory(service.url);
  if (values.exit || code !== 0) await stop(service, code);
  console.log(`demo: the service stays up; API at ${service.url}/api/docs, Ctrl-C ends it`);
}

main().catch((error: unknown) => {
  const text = error instanceof StoreError ? error.message : String((error as Error).stack);
  console.error(`demo: ${text}`);
  process.exit(1);
});
