import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process that cannot be confused with a later one that was given the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  /** What the system says of its start; null where it cannot be asked. */
  readonly started: string | null;
}

export function identityOf(pid: number): ProcessIdentity {
  return { pid, started: startOf(pid) };
}

/** Whether that very process still runs. A zombie does not: it holds nothing but its id. */
export function isRunning({ pid, started }: ProcessIdentity): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, under another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = startOf(pid);
  if (now === ZOMBIE) return false;
  return started === null || now === null || now === started;
}

/** The arguments a process was started with; empty where they cannot be read. */
export function argumentsOf(pid: number): readonly string[] {
  try {
    if (process.platform === 'linux') {
      return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')
        .split('\0')
        .slice(0, -1);
    }
    return process.platform === 'win32' ? [] : ps(pid, 'command').split(/ +/);
  } catch {
    return [];
  }
}

const ZOMBIE = 'zombie';

function startOf(pid: number): string | null {
  try {
    if (process.platform === 'linux') {
      // The command name stands in parentheses and may hold spaces: fields count from behind it.
      const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' ? ZOMBIE : (fields[19] ?? null);
    }
    return process.platform === 'win32' ? null : ps(pid, 'lstart');
  } catch {
    return null;
  }
}

function ps(pid: number, column: string): string {
  return execFileSync('ps', ['-o', `${column}=`, '-p', String(pid)], { encoding: 'utf8' }).trim();
}
