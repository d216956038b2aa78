import { type Db } from 'mongodb';

import { ArtifactStore } from '../artifacts/artifact.store';
import { BlobRemover } from '../artifacts/blob-remover';
import { declareBlobs } from '../artifacts/bucket-schema';
import { type SegmentCodec } from '../artifacts/codec/segment.codec';
import { UnavailableError } from '../common/errors';
import { type Config } from '../config/config';
import { Schema } from '../mongo/schema';
import { AliasMovesRepository } from './alias-moves.repository';
import { AliasesService } from './aliases.service';
import { BlobReferences } from './blob-references';
import { DeletionService } from './deletion.service';
import { HoldsRepository } from './holds.repository';
import { LeadersRepository } from './leaders.repository';
import { ModelsRepository } from './models.repository';
import { Sweeper } from './sweeper.service';
import { type TestLoader } from './test-loader.port';
import { UploadIntentsRepository } from './upload-intents.repository';
import { UploadReaper } from './upload-reaper.service';
import { VersionLeasesRepository } from './version-leases.repository';
import { VersionResolver } from './version-resolver.service';
import { VersionsRepository } from './versions.repository';

/** What looks after a store without the service: for scripts, beside running services or instead. */
export interface StoreKeeping {
  readonly schema: Schema;
  readonly artifacts: ArtifactStore;
  readonly versions: VersionsRepository;
  readonly sweeper: Sweeper;
}

export function openStoreKeeping(db: Db, codec: SegmentCodec, config: Config): StoreKeeping {
  const schema = new Schema();
  declareBlobs(schema);
  const artifacts = new ArtifactStore(db, codec);
  const models = new ModelsRepository(db, schema);
  const versions = new VersionsRepository(db, schema);
  const moves = new AliasMovesRepository(db, schema);
  const intents = new UploadIntentsRepository(db, schema);
  const leases = new VersionLeasesRepository(db, schema);
  const leaders = new LeadersRepository(db, schema);
  const resolver = new VersionResolver(models, versions, moves);
  const aliases = new AliasesService(moves, models, versions, artifacts, resolver, NO_LOADER);
  const references = new BlobReferences(intents, versions);
  const remover = new BlobRemover(artifacts.blobs, references);
  const deletion = new DeletionService(
    models,
    versions,
    aliases,
    remover,
    leases,
    resolver,
    new HoldsRepository(db, schema),
    config,
  );
  const reaper = new UploadReaper(intents, versions, remover, aliases, deletion);
  const sweeper = new Sweeper(leaders, reaper, deletion, artifacts, references, remover);
  return { schema, artifacts, versions, sweeper };
}

/** Keeping a store in order needs no model to run. */
const NO_LOADER: TestLoader = {
  testLoad: async () => await Promise.reject(noModels()),
  warm: async () => {
    await Promise.reject(noModels());
  },
};

function noModels(): UnavailableError {
  return new UnavailableError('Models run only in the service');
}
