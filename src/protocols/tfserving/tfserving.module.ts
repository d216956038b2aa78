import { Module } from '@nestjs/common';

import { ModelsModule } from '../../models/models.module';
import { PredictionsModule } from '../../predictions/predictions.module';
import { TfPredictions } from './tf-predictions.service';
import { TfRequestReader } from './tf-request-reader.service';
import { TfStatus } from './tf-status.service';
import { TfVersions } from './tf-versions.service';
import { TfServingLane } from './tfserving.lane';

/** What clients of TensorFlow Serving's REST API find under /v1/. */
@Module({
  imports: [ModelsModule, PredictionsModule],
  providers: [TfVersions, TfRequestReader, TfPredictions, TfStatus, TfServingLane],
  exports: [TfServingLane],
})
export class TfServingModule {}
