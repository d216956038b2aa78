import { type LoadableVersion } from './version';
import { type ReadyFacts } from './versions.repository';

/**
 * What publishing and moving aliases need of whoever runs models; bound in app.module.ts.
 *
 * Both throw a StoreError that says what is wrong with the version.
 */
export interface TestLoader {
  /** Loads a version from the database in an executor and runs it once, before it may become ready. */
  testLoad(version: LoadableVersion): Promise<ReadyFacts>;
  /** Makes a version answer its next request without loading, before an alias moves to it. */
  warm(version: LoadableVersion): Promise<void>;
}

export const TEST_LOADER = Symbol('TEST_LOADER');
