import { Module } from '@nestjs/common';

import { ArtifactStore } from '../artifacts/artifact.store';
import { ArtifactsModule } from '../artifacts/artifacts.module';
import { BlobRemover } from '../artifacts/blob-remover';
import { KerasReader } from '../formats/keras/keras-reader';
import { AliasMovesRepository } from './alias-moves.repository';
import { AliasesController } from './aliases.controller';
import { AliasesService } from './aliases.service';
import { BlobReferences } from './blob-references';
import { CompiledForms } from './compiled-forms.service';
import { DeletionService } from './deletion.service';
import { FilesController } from './files.controller';
import { HoldsRepository } from './holds.repository';
import { ModelsController } from './models.controller';
import { ModelsRepository } from './models.repository';
import { PublishService } from './publish.service';
import { QuarantineService } from './quarantine.service';
import { UploadController } from './upload.controller';
import { UploadIntentsRepository } from './upload-intents.repository';
import { UploadReaper } from './upload-reaper.service';
import { LeadersRepository } from './leaders.repository';
import { Sweeper } from './sweeper.service';
import { VersionFiles } from './version-files.service';
import { VersionLeases } from './version-leases.service';
import { VersionLeasesRepository } from './version-leases.repository';
import { VersionResolver } from './version-resolver.service';
import { VersionsController } from './versions.controller';
import { VersionsRepository } from './versions.repository';

/** The registry: models, versions, aliases. Needs a `TEST_LOADER` from whoever runs models. */
@Module({
  imports: [ArtifactsModule],
  controllers: [
    UploadController,
    ModelsController,
    VersionsController,
    FilesController,
    AliasesController,
  ],
  providers: [
    ModelsRepository,
    VersionsRepository,
    AliasMovesRepository,
    UploadIntentsRepository,
    BlobReferences,
    CompiledForms,
    {
      provide: BlobRemover,
      inject: [ArtifactStore, BlobReferences],
      useFactory: ({ blobs }: ArtifactStore, references: BlobReferences) =>
        new BlobRemover(blobs, references),
    },
    PublishService,
    { provide: KerasReader, useFactory: () => new KerasReader() },
    AliasesService,
    DeletionService,
    QuarantineService,
    UploadReaper,
    LeadersRepository,
    HoldsRepository,
    Sweeper,
    VersionLeasesRepository,
    VersionFiles,
    VersionLeases,
    VersionResolver,
  ],
  exports: [
    VersionFiles,
    AliasesService,
    DeletionService,
    CompiledForms,
    ModelsRepository,
    LeadersRepository,
    HoldsRepository,
    Sweeper,
    VersionLeases,
    VersionLeasesRepository,
    VersionResolver,
    VersionsRepository,
    AliasMovesRepository,
    QuarantineService,
    UploadReaper,
    ArtifactsModule,
    PublishService,
  ],
})
export class ModelsModule {}
