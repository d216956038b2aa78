import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the embedded mongod of a data directory listens; waits for one that is being restarted. */
export async function embeddedUri(dataDir: string): Promise<string> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const uri = runningUri(dataDir);
    if (uri !== undefined) return uri;
    if (Date.now() > deadline) throw new Error(`no mongod runs on ${dataDir}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** As the command line of its process says. */
function runningUri(dataDir: string): string | undefined {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (args.includes(join(dataDir, 'db'))) {
        return `mongodb://127.0.0.1:${args[args.indexOf('--port') + 1] ?? ''}/?directConnection=true`;
      }
    } catch {
      // Processes come and go while /proc is read.
    }
  }
  return undefined;
}
