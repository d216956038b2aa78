import { Module } from '@nestjs/common';

import { ModelsModule } from '../models/models.module';
import { RuntimeModule } from '../runtime/runtime.module';
import { DurableRecorder } from './durable-recorder.service';
import { InputsStore } from './inputs.store';
import { PredictController } from './predict.controller';
import { PredictService } from './predict.service';
import { PredictionRecords } from './prediction-records.service';
import { PredictionsController } from './predictions.controller';
import { PredictionsRepository } from './predictions.repository';
import { QueuedRecorder } from './queued-recorder.service';

/** Predictions: made, recorded, looked up. */
@Module({
  imports: [ModelsModule, RuntimeModule],
  controllers: [PredictController, PredictionsController],
  providers: [
    InputsStore,
    PredictionsRepository,
    DurableRecorder,
    QueuedRecorder,
    PredictService,
    PredictionRecords,
  ],
  exports: [PredictService, PredictionRecords, PredictionsRepository, InputsStore],
})
export class PredictionsModule {}
