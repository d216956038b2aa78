import { Module } from '@nestjs/common';

import { ModelsModule } from '../../models/models.module';
import { ArtifactsController } from './artifacts.controller';
import { ModelVersionsController } from './model-versions.controller';
import { RegisteredModelsController } from './registered-models.controller';
import { RegistrationService } from './registration.service';
import { StagedArtifactsStore } from './staged-artifacts.store';
import { UnknownEndpointsController } from './unknown-endpoints.controller';

/** The MLflow registry over the models, versions and aliases that there are. */
@Module({
  imports: [ModelsModule],
  controllers: [
    RegisteredModelsController,
    ModelVersionsController,
    ArtifactsController,
    UnknownEndpointsController,
  ],
  providers: [StagedArtifactsStore, RegistrationService],
})
export class MlflowModule {}
