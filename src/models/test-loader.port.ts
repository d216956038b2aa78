import { type ProvenForm } from './compiled-forms.service';
import { type LoadableVersion } from './version';
import { type ReadyFacts } from './versions.repository';

/** What a test load found out. */
export interface TestLoadResult extends ReadyFacts {
  /** Paths of the files whose bytes were read from the database and compared with their digests. */
  readonly provenPaths: readonly string[];
  /** What was compiled and computes the same, to be stored beside the version. */
  readonly form?: ProvenForm;
}

/**
 * What publishing and moving aliases need of whoever runs models; bound in app.module.ts.
 *
 * Both throw a StoreError that says what is wrong with the version.
 */
export interface TestLoader {
  /** Loads a version from the database in an executor and runs it once, before it may become ready. */
  testLoad(version: LoadableVersion): Promise<TestLoadResult>;
  /** Makes a version answer its next request without loading, before an alias moves to it. */
  warm(version: LoadableVersion): Promise<void>;
}

export const TEST_LOADER = Symbol('TEST_LOADER');
