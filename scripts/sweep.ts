import { parseArgs } from 'node:util';

import { StoreError } from '../src/common/errors';
import { withStore } from './open-store';

/** Removes the bytes that nobody can reach, as the service does by itself; `--dry-run` only counts them. */
async function main(): Promise<number> {
  const { values } = parseArgs({ options: { 'dry-run': { type: 'boolean', default: false } } });
  const isDryRun = values['dry-run'];
  return await withStore(process.env, async ({ sweeper }) => {
    const { finished, interrupted, blobs, storedBytes } = await sweeper.sweep({ isDryRun });
    if (!finished) {
      console.log('sweep: another process is sweeping; nothing to do here');
      return 0;
    }
    console.log(
      isDryRun
        ? `sweep: ${blobs} blobs (${storedBytes} bytes) would go`
        : `sweep: ${blobs} blobs (${storedBytes} bytes) removed, ${interrupted} uploads and deletions finished`,
    );
    return 0;
  });
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(`sweep: ${error instanceof StoreError ? error.message : String(error)}`);
    process.exitCode = 2;
  },
);
