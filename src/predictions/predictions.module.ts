import { Module } from '@nestjs/common';

import { Metrics } from '../metrics/metrics';
import { ModelsModule } from '../models/models.module';
import { RuntimeModule } from '../runtime/runtime.module';
import { AuditRepository } from './audit.repository';
import { CountsController } from './counts.controller';
import { DurableRecorder } from './durable-recorder.service';
import { ErasureController } from './erasure.controller';
import { ExportController } from './export.controller';
import { FeedbackController } from './feedback.controller';
import { FeedbackRepository } from './feedback.repository';
import { HoldsController } from './holds.controller';
import { InputErasure } from './input-erasure.service';
import { InputFreeing } from './input-freeing.service';
import { InputsStore } from './inputs.store';
import { PredictAnswers } from './predict-answers.service';
import { PredictController } from './predict.controller';
import { PredictLane } from './predict-lane.service';
import { PredictService } from './predict.service';
import { PredictionRecords } from './prediction-records.service';
import { PredictionProofs } from './prediction-proofs.service';
import { PredictionExport } from './prediction-export.service';
import { PredictionImport } from './prediction-import.service';
import { PredictionsController } from './predictions.controller';
import { PredictionsRepository } from './predictions.repository';
import { ProofsController } from './proofs.controller';
import { QueuedRecorder } from './queued-recorder.service';
import { RecordWriter } from './record-writer.service';
import { RecordHolds } from './record-holds.service';
import { NoRecorder } from './recorder';
import { RecordingCounts } from './recording-counts';
import { RecordingJournal } from './recording-journal.store';
import { RetentionController } from './retention.controller';
import { Retention } from './retention.service';
import { RequestReader } from './request-reader.service';

/** Predictions: made, recorded, looked up. */
@Module({
  imports: [ModelsModule, RuntimeModule],
  controllers: [
    PredictController,
    FeedbackController,
    ExportController,
    CountsController,
    ErasureController,
    HoldsController,
    RetentionController,
    PredictionsController,
    ProofsController,
  ],
  providers: [
    InputsStore,
    PredictionsRepository,
    RecordingCounts,
    RecordingJournal,
    RecordWriter,
    DurableRecorder,
    QueuedRecorder,
    NoRecorder,
    RequestReader,
    PredictService,
    PredictAnswers,
    PredictLane,
    PredictionRecords,
    PredictionProofs,
    FeedbackRepository,
    AuditRepository,
    InputErasure,
    RecordHolds,
    InputFreeing,
    Retention,
    PredictionExport,
    PredictionImport,
  ],
  exports: [
    PredictService,
    PredictLane,
    PredictionRecords,
    PredictionsRepository,
    InputsStore,
    RecordingCounts,
    Retention,
  ],
})
export class PredictionsModule {
  constructor(metrics: Metrics, counts: RecordingCounts) {
    metrics.watchRecording(() => counts.state);
  }
}
