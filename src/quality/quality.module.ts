import { Module } from '@nestjs/common';

import { ModelsModule } from '../models/models.module';
import { PredictionsModule } from '../predictions/predictions.module';
import { RuntimeModule } from '../runtime/runtime.module';
import { JobRunner } from './job-runner.service';
import { JobsController } from './jobs.controller';
import { JobsRepository } from './jobs.repository';
import { QualityReports } from './quality-report.service';
import { QualityController } from './quality.controller';
import { ReplayController } from './replay.controller';
import { ReplayJob } from './replay.job';
import { ReplayService } from './replay.service';

/** How versions do on what was recorded. */
@Module({
  imports: [ModelsModule, RuntimeModule, PredictionsModule],
  controllers: [JobsController, ReplayController, QualityController],
  providers: [JobsRepository, JobRunner, ReplayJob, ReplayService, QualityReports],
  exports: [ReplayService],
})
export class QualityModule {}
