import { workerData } from 'node:worker_threads';

const PERIOD_MS = 1_000;

// Ends the process when its parent has gone. Systems that give orphans a new parent show it in the
// parent's id; on Windows the id stays and the process behind it is asked for.
setInterval(() => {
  if (process.ppid !== workerData || !isAlive(workerData as number)) {
    process.kill(process.pid, 'SIGKILL');
  }
}, PERIOD_MS);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
