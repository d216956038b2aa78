import { Module } from '@nestjs/common';

import { ModelsModule } from '../models/models.module';
import { LiveVersions } from './live-versions.service';
import { ModelRuntime } from './model-runtime.service';
import { RuntimeController } from './runtime.controller';
import { VersionRenewal } from './version-renewal.service';

/** Runs models: executors, engines, what is loaded in them. */
@Module({
  imports: [ModelsModule],
  controllers: [RuntimeController],
  providers: [ModelRuntime, VersionRenewal, LiveVersions],
  exports: [ModelRuntime, LiveVersions],
})
export class RuntimeModule {}
