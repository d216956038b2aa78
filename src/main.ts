import { StoreError } from './common/errors';
import { type Service, startService } from './service';

/** The second signal of an impatient operator ends the process at once. */
function stopOnSignals(service: Service): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(130);
    stopping = true;
    process.stdout.write(`gridstow: ${signal}, stopping\n`);
    service.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`gridstow: the stop failed: ${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

function banner({ url, config, embedded, engine }: Service): string {
  const database = embedded ? `embedded, files in ${config.dataDir}` : 'MONGODB_URI';
  return [
    `gridstow: listening on ${url}`,
    `gridstow: engine ${engine.name}: ${engine.why}`,
    `gridstow: database ${config.mongodb.db} (${database})`,
    `gridstow: API at ${url}/api/docs, health at ${url}/health/ready`,
    '',
  ].join('\n');
}

async function main(): Promise<void> {
  try {
    const service = await startService(process.env);
    stopOnSignals(service);
    process.stdout.write(banner(service));
  } catch (error) {
    // A start that cannot work ends with the sentence that says what to change.
    const text = error instanceof StoreError ? error.message : String((error as Error).stack);
    process.stderr.write(`gridstow: ${text}\n`);
    process.exit(1);
  }
}

void main();
