import { pino } from 'pino';

import { ArtifactStore } from '../../src/artifacts/artifact.store';
import { InlineCodec } from '../../src/artifacts/codec/inline.codec';
import { type Config, readConfig } from '../../src/config/config';
import { Metrics } from '../../src/metrics/metrics';
import { AliasMovesRepository } from '../../src/models/alias-moves.repository';
import { ModelsRepository } from '../../src/models/models.repository';
import { QuarantineService } from '../../src/models/quarantine.service';
import { VersionLeasesRepository } from '../../src/models/version-leases.repository';
import { VersionLeases } from '../../src/models/version-leases.service';
import { VersionResolver } from '../../src/models/version-resolver.service';
import { VersionsRepository } from '../../src/models/versions.repository';
import { Schema } from '../../src/mongo/schema';
import { ModelRuntime } from '../../src/runtime/model-runtime.service';
import { type FreshDatabase } from './database';

/** Everything else comes from the environment, so `GRIDSTOW_ENGINE=cpu` runs the same tests on cpu. */
export function runtimeConfig(database: FreshDatabase, overrides: Partial<Config> = {}): Config {
  const config = readConfig({ ...process.env, MONGODB_URI: database.uri });
  return {
    ...config,
    mongodb: { ...config.mongodb, db: database.name },
    executors: 2,
    predictTimeoutMs: 120_000,
    ...overrides,
  };
}

/** A running `ModelRuntime` on a test's database, without the rest of the service. */
export async function startRuntime(
  database: FreshDatabase,
  overrides: Partial<Config> = {},
): Promise<ModelRuntime> {
  const logger = pino({ level: 'silent' });
  const schema = new Schema();
  const versions = new VersionsRepository(database.db, schema);
  const models = new ModelsRepository(database.db, schema);
  const moves = new AliasMovesRepository(database.db, schema);
  const artifacts = new ArtifactStore(database.db, new InlineCodec());
  const resolver = new VersionResolver(models, versions, moves);
  const runtime = new ModelRuntime(
    runtimeConfig(database, overrides),
    logger,
    new QuarantineService(versions, artifacts, resolver, logger),
    new Metrics(),
    new VersionLeases(new VersionLeasesRepository(database.db, schema), versions),
  );
  await runtime.onModuleInit();
  return runtime;
}
