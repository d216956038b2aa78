import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the embedded mongod of a data directory listens, as its command line says. */
export function embeddedUri(dataDir: string): string {
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
  throw new Error('the embedded mongod was not found');
}
