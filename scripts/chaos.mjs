import { spawnSync } from 'node:child_process';

/**
 * Kills the service and its database at random times under uploads, promotions and deletions, and
 * checks after each kill that everything that must be true of a store is. `CHAOS_KILLS`,
 * `CHAOS_SEED` and `CHAOS_MINUTES` change how often, with which draws, and for how long at most.
 */
const { status } = spawnSync(
  'npx',
  ['--no-install', 'jest', '--runTestsByPath', 'test/e2e/chaos.test.ts'],
  { stdio: 'inherit', env: { ...process.env, CHAOS_KILLS: process.env.CHAOS_KILLS ?? '200' } },
);
process.exit(status ?? 1);
