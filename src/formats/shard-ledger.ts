import { posix } from 'node:path';

import { checkArtifactPath, isDesktopClutter } from '../artifacts/parts/artifact-path';
import { type InspectedFile } from './artifact-format';
import { type FaultLog, quoted } from './fault-log';

/** Files that look as if weights were in them: left over, they mean that the manifest lacks a part. */
const SHARD_NAME = /\.(?:bin|weights?)$|shard-?\d+of\d+/i;

/** Which files of the upload a weights manifest has named so far. */
export class ShardLedger {
  private readonly sizes: ReadonlyMap<string, number>;
  private readonly named = new Set<string>();

  constructor(
    private readonly entry: string,
    files: readonly InspectedFile[],
    private readonly faults: FaultLog,
  ) {
    this.sizes = new Map(files.map(({ path, bytes }) => [path, bytes]));
  }

  /** The size of a shard, or null after a fault. Names are keys among the uploaded files only. */
  take(name: unknown, path: string): number | null {
    const checked =
      typeof name === 'string' ? checkArtifactPath(name) : { fault: 'a path was expected here' };
    if (checked.fault !== undefined) {
      this.faults.add(path, checked.fault);
      return null;
    }
    const file = posix.join(posix.dirname(this.entry), checked.path);
    if (this.named.has(file)) {
      this.faults.add(path, `the file ${quoted(file)} is named twice`);
      return null;
    }
    this.named.add(file);
    const bytes = this.sizes.get(file);
    if (bytes === undefined) this.faults.add(path, `the file ${quoted(file)} was not uploaded`);
    return bytes ?? null;
  }

  reportUnnamed(): void {
    for (const path of this.sizes.keys()) {
      if (path === this.entry || this.named.has(path) || isDesktopClutter(path)) continue;
      if (SHARD_NAME.test(path)) {
        this.faults.add(path, `this file was uploaded, and the manifest of ${this.entry} lacks it`);
      }
    }
  }
}
