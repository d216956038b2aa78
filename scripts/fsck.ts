import { parseArgs } from 'node:util';

import { SingleBar } from 'cli-progress';

import { StoreError } from '../src/common/errors';
import { IntegrityCheck } from '../src/models/integrity-check';
import { withStore } from './open-store';

/** Reads the whole store and says what is wrong. Ends with 0, with 1 for damage, with 2 when it could not look. */
async function main(): Promise<number> {
  const { values } = parseArgs({ options: { quarantine: { type: 'boolean', default: false } } });
  return await withStore(process.env, async (store, db) => {
    const bar = new SingleBar({
      format: 'fsck: {bar} {percentage} % of the bytes',
      noTTYOutput: false,
    });
    bar.start(1, 0);
    const report = await new IntegrityCheck(db, store).run({
      isQuarantining: values.quarantine,
      onProgress: (readBytes, allBytes) => {
        bar.setTotal(allBytes);
        bar.update(readBytes);
      },
    });
    bar.stop();
    const { versions, blobs, aliases, readBytes, damage, quarantined, loose, uploads } = report;
    console.log(
      `fsck: read ${versions} ready versions (${readBytes} bytes), ${blobs} blobs, ${aliases} aliases; ${uploads} uploads under way or interrupted`,
    );
    if (loose.blobs > 0) {
      console.log(
        `fsck: ${loose.blobs} blobs (${loose.storedBytes} bytes) that nobody needs go with the next sweep`,
      );
    }
    for (const { subject, message } of damage) console.log(`fsck: DAMAGED ${subject}: ${message}`);
    for (const version of quarantined) console.log(`fsck: ${version} is quarantined`);
    console.log(damage.length === 0 ? 'fsck: no damage' : `fsck: ${damage.length} damages`);
    return damage.length === 0 ? 0 : 1;
  });
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(`fsck: ${error instanceof StoreError ? error.message : String(error)}`);
    process.exitCode = 2;
  },
);
