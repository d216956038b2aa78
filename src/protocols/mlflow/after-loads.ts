import { setTimeout as sleep } from 'node:timers/promises';

import { VersionInUseError } from '../../models/models.errors';

/** A load is over sooner, but for models of gigabytes. */
const PATIENCE_MS = 15_000;
const POLL_MS = 100;

/**
 * Deletes once the service has loaded what it loads by itself, as it does with every new version:
 * clients of the registry take a conflict for the last word.
 *
 * @throws VersionInUseError for any other use, or one that lasts
 */
export async function afterLoads(remove: () => Promise<void>): Promise<void> {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      await remove();
      return;
    } catch (error) {
      const isLoading = error instanceof VersionInUseError && error.details['purpose'] === 'load';
      if (!isLoading || Date.now() > until) throw error;
      await sleep(POLL_MS);
    }
  }
}
