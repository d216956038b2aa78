import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { type ArtifactFile } from '../../artifacts/artifact';
import { identityOf, isRunning } from '../../mongo/process-identity';
import { ModelUnloadableError } from '../runtime.errors';
import { type FileSource } from './engine';

const PARENT = 'saved-models';

/**
 * Files of a version on disk, for a library that opens models by their path only.
 *
 * The folder is this process' own (0700, files 0600) and carries its identity in its name: what a
 * process that crashed left behind is told from what a living one uses.
 */
export class ScratchFolder {
  private constructor(
    readonly path: string,
    private readonly written: { readonly path: string; readonly sha256: string }[],
  ) {}

  /** Makes a folder under `scratchDir`, after sweeping those of processes that are gone. */
  static async make(scratchDir: string): Promise<ScratchFolder> {
    await sweepScratch(scratchDir);
    const parent = join(scratchDir, PARENT);
    await mkdir(parent, { recursive: true, mode: 0o700 });
    await chmod(parent, 0o700);
    const { pid, started } = identityOf(process.pid);
    const folder = await mkdtemp(join(parent, `${pid}-${(started ?? '').replace(/\W/g, '_')}-`));
    return new ScratchFolder(folder, []);
  }

  /** Writes the files that lie in a folder of the artifact, under their paths within it. */
  async write(files: readonly ArtifactFile[], root: string, source: FileSource): Promise<void> {
    for (const file of files) {
      const path = resolve(this.path, relative(root, file.path));
      // Paths were checked when they were uploaded; a document altered since must not climb either.
      if (!path.startsWith(`${this.path}/`) && !path.startsWith(`${this.path}\\`)) {
        throw new ModelUnloadableError(`The path ${file.path} leads out of the model`);
      }
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const bytes = new Uint8Array(await source.read(file));
      await writeFile(path, bytes, { flag: 'wx', mode: 0o600 });
      this.written.push({ path, sha256: file.ref.sha256 });
    }
  }

  /**
   * Compares what lies on disk with the digests of the version, once the library has read it.
   *
   * @throws ModelUnloadableError when anything changed meanwhile
   */
  async assertUnchanged(): Promise<void> {
    for (const { path, sha256 } of this.written) {
      const hash = createHash('sha256');
      await pipeline(createReadStream(path), hash);
      if (hash.digest('hex') !== sha256) {
        throw new ModelUnloadableError(
          `The file ${relative(this.path, path)} changed on disk while it was being opened`,
        );
      }
    }
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

/** Where folders go in a program that has no data directory: apart from those of other users. */
export function ownTemporaryFolder(): string {
  return join(tmpdir(), `gridstow-of-${userInfo().uid}`);
}

/** Removes the folders of processes that are gone. */
export async function sweepScratch(scratchDir: string): Promise<void> {
  const parent = join(scratchDir, PARENT);
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const [, pid, started = ''] = /^(\d+)-(\w*)-/.exec(name) ?? [];
    const isAlive =
      pid !== undefined &&
      isRunning({ pid: Number(pid), started: null }) &&
      (identityOf(Number(pid)).started ?? '').replace(/\W/g, '_') === started;
    // Best effort: another process may be sweeping as well, and no start fails over leftovers.
    if (!isAlive) {
      await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined);
    }
  }
}
