import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { DataDirectoryInUseError } from './mongo.errors';
import { argumentsOf, identityOf, isRunning } from './process-identity';

const TERM_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 5_000;
const POLL_MS = 50;

/**
 * Ends a mongod that outlived a killed service.
 *
 * Called by the owner of the data directory only. The server writes its process id into
 * `mongod.lock`; it is ended only when that process was started with `--dbpath` on this very
 * folder, so that an id the system has given to another process is never touched.
 *
 * @throws DataDirectoryInUseError when it does not end
 */
export async function stopOrphan(dbPath: string, log: (message: string) => void): Promise<void> {
  const pid = Number(await readFile(join(dbPath, 'mongod.lock'), 'utf8').catch(() => ''));
  if (!Number.isSafeInteger(pid) || pid <= 0 || !servesFolder(pid, dbPath)) return;
  const orphan = identityOf(pid);
  log(`A database server (process ${String(pid)}) outlived its service; stopping it`);
  for (const [signal, timeoutMs] of [
    ['SIGTERM', TERM_TIMEOUT_MS],
    // Safe: the journal holds every acknowledged write.
    ['SIGKILL', KILL_TIMEOUT_MS],
  ] as const) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
      break;
    }
    const deadline = Date.now() + timeoutMs;
    while (Date.now() < deadline) {
      if (!isRunning(orphan)) return;
      await sleep(POLL_MS);
    }
  }
  throw new DataDirectoryInUseError(
    `A database server (process ${String(pid)}) still runs on ${dbPath} and cannot be stopped; end it, or set GRIDSTOW_DATA_DIR to another directory`,
    { dbPath, pid },
  );
}

function servesFolder(pid: number, dbPath: string): boolean {
  const args = argumentsOf(pid);
  const folder = args[args.indexOf('--dbpath') + 1];
  return args.includes('--dbpath') && folder !== undefined && resolve(folder) === resolve(dbPath);
}
