import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { EmbeddedMongod } from '../../src/mongo/embedded-mongod';
import { resolveMongodBinary } from '../../src/mongo/mongod-binary';
import { type TestDatabase } from './test-database';

/**
 * One mongod for all tests that need a database, with fail points, on files that are thrown away.
 *
 * `GRIDSTOW_TEST_MONGODB_URI` leads to it; `GRIDSTOW_MONGOD` is set for tests that start a service
 * with an embedded database of its own.
 */
// Jest calls the default export.
// eslint-disable-next-line no-restricted-syntax
export default async function globalSetup(): Promise<void> {
  const binary = await resolveMongodBinary({
    dataDir: process.env['GRIDSTOW_DATA_DIR'] ?? join(__dirname, '../../.gridstow'),
    env: process.env,
    log: console.log,
  });
  const dataDir = await mkdtemp(join(tmpdir(), 'gridstow-test-'));
  const mongod = await EmbeddedMongod.start({ dataDir, binary, testCommands: true });
  process.env['GRIDSTOW_MONGOD'] = binary;
  process.env['GRIDSTOW_TEST_MONGODB_URI'] = mongod.uri;
  (globalThis as { testDatabase?: TestDatabase }).testDatabase = { mongod, dataDir };
}
