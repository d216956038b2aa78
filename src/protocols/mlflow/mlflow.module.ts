import { Module } from '@nestjs/common';

import { ModelsModule } from '../../models/models.module';
import { PredictionsModule } from '../../predictions/predictions.module';
import { RuntimeModule } from '../../runtime/runtime.module';
import { ArtifactsController } from './artifacts.controller';
import { ModelVersionsController } from './model-versions.controller';
import { RegisteredModelsController } from './registered-models.controller';
import { RegistrationService } from './registration.service';
import { ScoringController } from './scoring.controller';
import { ScoringReader } from './scoring-reader.service';
import { StagedArtifactsStore } from './staged-artifacts.store';
import { UnknownEndpointsController } from './unknown-endpoints.controller';

/** The MLflow registry, artifact proxy and scorer over the models and versions that there are. */
@Module({
  imports: [ModelsModule, PredictionsModule, RuntimeModule],
  controllers: [
    RegisteredModelsController,
    ModelVersionsController,
    ArtifactsController,
    ScoringController,
    UnknownEndpointsController,
  ],
  providers: [StagedArtifactsStore, RegistrationService, ScoringReader],
})
export class MlflowModule {}
