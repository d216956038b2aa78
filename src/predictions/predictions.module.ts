import { Module } from '@nestjs/common';

import { ModelsModule } from '../models/models.module';
import { RuntimeModule } from '../runtime/runtime.module';
import { DurableRecorder } from './durable-recorder.service';
import { InputsStore } from './inputs.store';
import { PredictController } from './predict.controller';
import { PredictService } from './predict.service';
import { PredictionRecords } from './prediction-records.service';
import { PredictionProofs } from './prediction-proofs.service';
import { PredictionsController } from './predictions.controller';
import { PredictionsRepository } from './predictions.repository';
import { ProofsController } from './proofs.controller';
import { QueuedRecorder } from './queued-recorder.service';

/** Predictions: made, recorded, looked up. */
@Module({
  imports: [ModelsModule, RuntimeModule],
  controllers: [PredictController, PredictionsController, ProofsController],
  providers: [
    InputsStore,
    PredictionsRepository,
    DurableRecorder,
    QueuedRecorder,
    PredictService,
    PredictionRecords,
    PredictionProofs,
  ],
  exports: [PredictService, PredictionRecords, PredictionsRepository, InputsStore],
})
export class PredictionsModule {}
