import {
  type DynamicModule,
  Global,
  Inject,
  Module,
  type OnApplicationShutdown,
} from '@nestjs/common';

import { DatabaseService } from './database.service';
import { DATABASE } from './mongo.tokens';
import { Schema } from './schema';

/** The database for every layer above: one client, one `Db`, one schema. */
@Global()
@Module({})
export class MongoModule implements OnApplicationShutdown {
  constructor(@Inject(DatabaseService) private readonly database: DatabaseService) {}

  static with(database: DatabaseService, schema: Schema): DynamicModule {
    return {
      module: MongoModule,
      providers: [
        { provide: DatabaseService, useValue: database },
        { provide: Schema, useValue: schema },
        { provide: DATABASE, useValue: database.db },
      ],
      exports: [DatabaseService, Schema, DATABASE],
    };
  }

  async onApplicationShutdown(): Promise<void> {
    await this.database.stop();
  }
}
