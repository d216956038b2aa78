import { Global, Module } from '@nestjs/common';

import { IdempotencyRepository } from './idempotency.repository';
import { Idempotency } from './idempotency.service';

/** `Idempotency-Key` for every route that does something once. */
@Global()
@Module({
  providers: [IdempotencyRepository, Idempotency],
  exports: [IdempotencyRepository, Idempotency],
})
export class IdempotencyModule {}
