import { type EmbeddedMongod } from '../../src/mongo/embedded-mongod';

/** What the global set-up leaves for the global teardown. */
export interface TestDatabase {
  readonly mongod: EmbeddedMongod;
  readonly dataDir: string;
}
