import {
  type DynamicModule,
  Global,
  type MiddlewareConsumer,
  Module,
  type NestModule,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';

import { type Config } from './config/config';
import { CONFIG } from './config/config.tokens';
import { HealthModule } from './health/health.module';
import { ErrorFilter } from './http/error.filter';
import { IdempotencyModule } from './http/idempotency.module';
import { LOGGER, type Logger } from './http/logger';
import { requestId } from './http/request-id';
import { RequireDatabase } from './http/require-database';
import { MetricsModule } from './metrics/metrics.module';
import { ModelsModule } from './models/models.module';
import { PROMOTION_GATE } from './models/promotion-gate.port';
import { TEST_LOADER } from './models/test-loader.port';
import { type DatabaseService } from './mongo/database.service';
import { MongoModule } from './mongo/mongo.module';
import { type Schema } from './mongo/schema';
import { PredictionsModule } from './predictions/predictions.module';
import { ImageModule } from './protocols/image/image.module';
import { MlflowModule } from './protocols/mlflow/mlflow.module';
import { OipModule } from './protocols/oip/oip.module';
import { TfServingModule } from './protocols/tfserving/tfserving.module';
import { QualityModule } from './quality/quality.module';
import { ReplayService } from './quality/replay.service';
import { ModelRuntime } from './runtime/model-runtime.service';
import { RuntimeModule } from './runtime/runtime.module';

/** What is made before the framework starts, because a start can end with it. */
export interface Foundation {
  readonly config: Config;
  readonly logger: Logger;
  readonly database: DatabaseService;
  readonly schema: Schema;
}

/** Settings, the logger and the form of errors, for every layer. */
@Global()
@Module({})
class FoundationModule {
  static with({ config, logger }: Foundation): DynamicModule {
    return {
      module: FoundationModule,
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: LOGGER, useValue: logger },
        { provide: ErrorFilter, useValue: new ErrorFilter(logger) },
      ],
      exports: [CONFIG, LOGGER, ErrorFilter],
    };
  }
}

/** Binds the ports that lower layers declare and higher ones fulfil. */
@Global()
@Module({
  imports: [RuntimeModule, QualityModule],
  providers: [
    { provide: TEST_LOADER, useExisting: ModelRuntime },
    { provide: PROMOTION_GATE, useExisting: ReplayService },
  ],
  exports: [TEST_LOADER, PROMOTION_GATE],
})
class PortsModule {}

/** The whole service: which modules there are, and who stands behind which port. */
@Module({})
export class AppModule implements NestModule {
  static with(foundation: Foundation): DynamicModule {
    return {
      module: AppModule,
      imports: [
        FoundationModule.with(foundation),
        MongoModule.with(foundation.database, foundation.schema),
        MetricsModule,
        IdempotencyModule,
        PortsModule,
        ModelsModule,
        RuntimeModule,
        PredictionsModule,
        QualityModule,
        ImageModule,
        MlflowModule,
        OipModule,
        TfServingModule,
        HealthModule,
      ],
      providers: [{ provide: APP_FILTER, useExisting: ErrorFilter }],
    };
  }

  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(requestId).forRoutes('{*path}');
    consumer
      .apply(RequireDatabase)
      .forRoutes(
        'api/{*path}',
        'prediction',
        'prediction/{*path}',
        'predictions',
        'invocations',
        'v2/models/{*path}',
        'v2/repository/{*path}',
      );
  }
}
