import { pino } from 'pino';

import { ArtifactCorruptError } from '../../src/artifacts/artifact.errors';
import { ArtifactStore } from '../../src/artifacts/artifact.store';
import { InlineCodec } from '../../src/artifacts/codec/inline.codec';
import { AliasMovesRepository } from '../../src/models/alias-moves.repository';
import { ModelsRepository } from '../../src/models/models.repository';
import { QuarantineService } from '../../src/models/quarantine.service';
import { VersionResolver } from '../../src/models/version-resolver.service';
import { VersionsRepository } from '../../src/models/versions.repository';
import { Schema } from '../../src/mongo/schema';
import { VersionHarmfulError } from '../../src/runtime/runtime.errors';
import { freshDatabase, type FreshDatabase } from '../support/database';
import { publishStored } from '../support/published-version';
import { greaterThanHalf } from '../support/tiny-graphs';

const signature = {
  inputs: [{ name: 'x', dtype: 'float32', shape: [-1, 3] }],
  outputs: [{ name: 'large', dtype: 'bool', shape: [-1, 3] }],
} as const;
const live = { model: 'half', alias: 'live' };

describe('QuarantineService', () => {
  let database: FreshDatabase;
  let resolver: VersionResolver;
  let quarantine: QuarantineService;

  beforeEach(async () => {
    database = freshDatabase();
    const { db } = database;
    const schema = new Schema();
    const versions = new VersionsRepository(db, schema);
    resolver = new VersionResolver(
      new ModelsRepository(db, schema),
      versions,
      new AliasMovesRepository(db, schema),
    );
    quarantine = new QuarantineService(
      versions,
      new ArtifactStore(db, new InlineCodec()),
      resolver,
      pino({ level: 'silent' }),
    );
    await publishStored(db, 'half', greaterThanHalf(), { signature });
    await resolver.resolve(live);
  });
  afterEach(async () => {
    await database.close();
  });

  it('takes a version out of service for the very next request, and says why', async () => {
    await quarantine.quarantine('half', 1, new VersionHarmfulError('It ended three executors'));

    await expect(resolver.resolve(live)).rejects.toMatchObject({ code: 'version_not_ready' });
    expect(await database.db.collection('versions').findOne({})).toMatchObject({
      state: 'quarantined',
      failure: { code: 'version_harmful', message: 'It ended three executors' },
    });
  });

  it('leaves a version in service when its bytes are not what failed', async () => {
    await quarantine.report('half', 1, new VersionHarmfulError('Not about bytes'));

    await expect(resolver.resolve(live)).resolves.toMatchObject({ version: { state: 'ready' } });
  });

  it('takes a version out of service whose stored bytes are damaged (19)', async () => {
    await quarantine.report('half', 1, new ArtifactCorruptError('Altered'));

    await expect(resolver.resolve(live)).rejects.toMatchObject({ code: 'version_not_ready' });
  });
});
