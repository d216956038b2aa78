import { parseArgs } from 'node:util';

import { StoreError } from '../src/common/errors';
import { openRetention } from '../src/predictions/open-retention';
import { withStore } from './open-store';

/** Removes records by the settings of their models, as the service does by itself; `--dry-run` only counts them. */
async function main(): Promise<number> {
  const { values } = parseArgs({ options: { 'dry-run': { type: 'boolean', default: false } } });
  return await withStore(process.env, async (_store, db) => {
    const retention = await openRetention(db);
    if (values['dry-run']) {
      const { records, inputs, bytes } = await retention.forecast();
      console.log(`retain: ${records} records and ${inputs} inputs (${bytes} bytes) would go`);
      return 0;
    }
    const { finished, records, feedback, inputs, bytes, waiting } = await retention.retain();
    if (!finished) {
      console.log('retain: another process is at it; nothing to do here');
      return 0;
    }
    console.log(
      `retain: ${records} records, what was said ${feedback} times, and ${inputs} inputs (${bytes} bytes) removed; ${waiting} inputs without a record go in an hour`,
    );
    return 0;
  });
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(`retain: ${error instanceof StoreError ? error.message : String(error)}`);
    process.exitCode = 2;
  },
);
