import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rename } from 'node:fs/promises';
import { totalmem } from 'node:os';

import { MongodStartError } from './mongo.errors';

export const REPLICA_SET = 'rs0';

/** Enough for streams of changes to resume; the server's default is a share of the whole disk. */
const OPLOG_MB = 1024;
const STOP_TIMEOUT_MS = 10_000;
const GIB = 1024 ** 3;

export interface MongodSpawn {
  readonly binary: string;
  readonly dbPath: string;
  readonly port: number;
  readonly logPath: string;
  readonly testCommands: boolean;
}

/**
 * One running mongod, reachable from this machine only.
 *
 * It ends with the process that started it, however that ends: a guard waits on a pipe that only
 * this process holds open. It does not hear the Ctrl-C of the terminal, so that requests in flight
 * can still be recorded while the service drains.
 */
export class MongodProcess {
  /** Resolves, never rejects, once the process is gone. */
  readonly exited: Promise<void>;
  private readonly guard: ChildProcess | undefined;

  private constructor(
    private readonly child: ChildProcess,
    readonly pid: number,
    private readonly logPath: string,
  ) {
    this.exited = once(child, 'exit').then(() => {
      this.guard?.kill('SIGKILL');
    });
    this.guard = guardOf(pid);
  }

  /** @throws MongodStartError when the binary cannot be run */
  static async spawn(options: MongodSpawn): Promise<MongodProcess> {
    await rename(options.logPath, `${options.logPath}.1`).catch(() => undefined);
    // Its own file, not a pipe: the server must not stall on, or lose, a reader.
    const log = await open(options.logPath, 'w');
    try {
      const child = spawn(options.binary, argumentsFor(options), {
        stdio: ['ignore', log.fd, log.fd],
        detached: true,
      });
      await once(child, 'spawn');
      return new MongodProcess(child, child.pid ?? 0, options.logPath);
    } catch (cause) {
      throw new MongodStartError(`${options.binary} cannot be run`, {}, { cause });
    } finally {
      await log.close();
    }
  }

  get hasExited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (!this.hasExited) this.child.kill('SIGTERM');
    const kill = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.exited;
    clearTimeout(kill);
  }

  /** What the process said last that was worse than a warning, or how it ended. */
  async lastWords(): Promise<string> {
    const lines = (await readFile(this.logPath, 'utf8').catch(() => '')).trimEnd().split('\n');
    const ending =
      this.child.signalCode === null
        ? `exit code ${String(this.child.exitCode)}`
        : `signal ${this.child.signalCode}`;
    const complaint = lines.map(complaintOf).findLast((text) => text !== null);
    return complaint ? `${complaint} (${ending})` : ending;
  }
}

function argumentsFor({ dbPath, port, testCommands }: MongodSpawn): string[] {
  // The service needs the memory more: by default the server would take half of it for its cache.
  const cacheGb = Math.min(2, Math.max(0.25, totalmem() / GIB / 8)).toFixed(2);
  return [
    ...['--dbpath', dbPath, '--port', String(port), '--bind_ip', '127.0.0.1'],
    ...['--replSet', REPLICA_SET, '--oplogSize', String(OPLOG_MB)],
    ...['--wiredTigerCacheSizeGB', cacheGb, '--quiet'],
    ...['--setParameter', 'diagnosticDataCollectionEnabled=false'],
    ...(testCommands ? ['--setParameter', 'enableTestCommands=1'] : []),
    ...(process.platform === 'win32' ? [] : ['--nounixsocket']),
  ];
}

/** A shell that sleeps on its standard input, which ends the moment this process does. */
function guardOf(pid: number): ChildProcess | undefined {
  if (process.platform === 'win32') return undefined;
  const guard = spawn('/bin/sh', ['-c', 'read -r _; kill -TERM "$0"', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without a guard the next start still finds and stops what was left behind.
  guard.on('error', () => undefined);
  guard.stdin.on('error', () => undefined);
  return guard;
}

function complaintOf(line: string): string | null {
  let entry: { s?: string; msg?: string; attr?: { error?: string | { errmsg?: string } } };
  try {
    entry = JSON.parse(line) as typeof entry;
  } catch {
    // Before its log is set up the server writes plain text, and so does the dynamic linker.
    return line === '' ? null : line;
  }
  if (entry.s !== 'E' && entry.s !== 'F') return null;
  const error = entry.attr?.error;
  return (typeof error === 'string' ? error : error?.errmsg) ?? entry.msg ?? null;
}
