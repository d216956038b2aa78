import { Module } from '@nestjs/common';

import { ModelsModule } from '../../models/models.module';
import { PredictionsModule } from '../../predictions/predictions.module';
import { RuntimeModule } from '../../runtime/runtime.module';
import { OipInference } from './oip-infer.service';
import { OipModels } from './oip-models.service';
import { OipReader } from './oip-reader.service';
import { OipController } from './oip.controller';

/** The Open Inference Protocol v2 over REST, with the extensions that its clients rely on. */
@Module({
  imports: [ModelsModule, PredictionsModule, RuntimeModule],
  controllers: [OipController],
  providers: [OipReader, OipInference, OipModels],
})
export class OipModule {}
