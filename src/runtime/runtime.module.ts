import { Module } from '@nestjs/common';

import { ModelsModule } from '../models/models.module';
import { ModelRuntime } from './model-runtime.service';
import { RuntimeController } from './runtime.controller';

/** Runs models: executors, engines, what is loaded in them. */
@Module({
  imports: [ModelsModule],
  controllers: [RuntimeController],
  providers: [ModelRuntime],
  exports: [ModelRuntime],
})
export class RuntimeModule {}
