import { Module } from '@nestjs/common';

import { ModelsModule } from '../models/models.module';
import { LiveVersions } from './live-versions.service';
import { ModelRuntime } from './model-runtime.service';
import { Readiness } from './readiness.service';
import { RuntimeController } from './runtime.controller';
import { VersionRenewal } from './version-renewal.service';

/** Runs models: executors, engines, what is loaded in them. */
@Module({
  imports: [ModelsModule],
  controllers: [RuntimeController],
  providers: [ModelRuntime, VersionRenewal, LiveVersions, Readiness],
  exports: [ModelRuntime, LiveVersions, Readiness],
})
export class RuntimeModule {}
