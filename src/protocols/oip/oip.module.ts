import { Module } from '@nestjs/common';

import { ModelsModule } from '../../models/models.module';
import { PredictionsModule } from '../../predictions/predictions.module';
import { RuntimeModule } from '../../runtime/runtime.module';
import { OipInference } from './oip-infer.service';
import { OipModels } from './oip-models.service';
import { OipReader } from './oip-reader.service';
import { OipRepositoryController } from './oip-repository.controller';
import { OipRepository } from './oip-repository.service';
import { OipStatistics } from './oip-statistics.service';
import { OipController } from './oip.controller';

/** The Open Inference Protocol v2 over REST, with the extensions that its clients rely on. */
@Module({
  imports: [ModelsModule, PredictionsModule, RuntimeModule],
  // The repository first: its fixed paths stand where others have the name of a model.
  controllers: [OipRepositoryController, OipController],
  providers: [OipReader, OipInference, OipModels, OipRepository, OipStatistics],
})
export class OipModule {}
