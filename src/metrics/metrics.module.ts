import {
  Global,
  type MiddlewareConsumer,
  Module,
  type NestModule,
  type OnModuleInit,
} from '@nestjs/common';

import { countRequests } from './count-requests';
import { Metrics } from './metrics';
import { MetricsController } from './metrics.controller';

/** Figures, for every layer above. */
@Global()
@Module({ controllers: [MetricsController], providers: [Metrics], exports: [Metrics] })
export class MetricsModule implements NestModule, OnModuleInit {
  constructor(private readonly metrics: Metrics) {}

  onModuleInit(): void {
    this.metrics.watchProcess();
  }

  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(countRequests(this.metrics)).forRoutes('{*path}');
  }
}
