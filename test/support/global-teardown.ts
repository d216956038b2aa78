import { rm } from 'node:fs/promises';

import { type TestDatabase } from './test-database';

// Jest calls the default export.
// eslint-disable-next-line no-restricted-syntax
export default async function globalTeardown(): Promise<void> {
  const { testDatabase } = globalThis as { testDatabase?: TestDatabase };
  if (!testDatabase) return;
  await testDatabase.mongod.stop();
  await rm(testDatabase.dataDir, { recursive: true, force: true });
}
