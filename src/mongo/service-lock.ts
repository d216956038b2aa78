import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { DataDirectoryInUseError } from './mongo.errors';
import { identityOf, isRunning, type ProcessIdentity } from './process-identity';

const ATTEMPTS = 20;

interface Owner extends ProcessIdentity {
  readonly token: string;
}

/**
 * One service per data directory.
 *
 * The lock is a file that names its owner. It outlives a `kill -9`; the next start sees that the
 * owner is gone, or that its process id now belongs to another, and takes over.
 */
export class ServiceLock {
  private constructor(
    private readonly path: string,
    private readonly token: string,
  ) {}

  /** @throws DataDirectoryInUseError while another service runs on the directory */
  static async acquire(dataDir: string): Promise<ServiceLock> {
    await mkdir(dataDir, { recursive: true });
    const path = join(dataDir, 'service.lock');
    const owner: Owner = { ...identityOf(process.pid), token: randomUUID() };
    const draft = `${path}.${owner.token}`;
    await writeFile(draft, JSON.stringify(owner));
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (await claimed(draft, path)) return new ServiceLock(path, owner.token);
        const holder = await readOwner(path);
        if (holder && isRunning(holder)) throw inUse(dataDir, holder.pid);
        if (holder) await removeStale(path, holder, draft);
      }
      throw inUse(dataDir, undefined);
    } finally {
      await rm(draft, { force: true });
    }
  }

  async release(): Promise<void> {
    const holder = await readOwner(this.path);
    if (holder?.token === this.token) await rm(this.path, { force: true });
  }
}

/** A hard link appears with its whole content or not at all, and never over another. */
async function claimed(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Null when there is no lock any more; a file that names nobody counts as a dead owner's. */
async function readOwner(path: string): Promise<Owner | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const owner = JSON.parse(text) as Owner;
    if (Number.isSafeInteger(owner.pid) && owner.pid > 0) return owner;
  } catch {
    // A disk that was full, a hand that edited.
  }
  return { pid: 2 ** 31 - 1, started: null, token: text };
}

/** Two starts can find the same dead owner: what was moved away is looked at before it is dropped. */
async function removeStale(path: string, dead: Owner, draft: string): Promise<void> {
  const aside = `${draft}.stale`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = await readOwner(aside);
  if (moved && moved.token !== dead.token) await claimed(aside, path);
  await rm(aside, { force: true });
}

function inUse(dataDir: string, pid: number | undefined): DataDirectoryInUseError {
  const who = pid === undefined ? 'Another service' : `Another service (process ${String(pid)})`;
  return new DataDirectoryInUseError(
    `${who} already runs on the data directory ${dataDir}; stop it, or set GRIDSTOW_DATA_DIR to another directory`,
    { dataDir, pid },
  );
}
