import { type Db } from 'mongodb';

import { type Service, startService } from '../../src/service';
import { freshDatabase } from './database';

/** A whole service in this process, on a database of its own; the only place that starts one. */
export interface BootedService {
  readonly url: string;
  readonly db: Db;
  readonly service: Service;
  close(): Promise<void>;
}

export async function bootService(env: Record<string, string> = {}): Promise<BootedService> {
  const database = freshDatabase();
  const service = await startService({
    PORT: '0',
    MONGODB_URI: database.uri,
    GRIDSTOW_DB: database.name,
    GRIDSTOW_EXECUTORS: '1',
    GRIDSTOW_ENGINE: process.env['GRIDSTOW_ENGINE'],
    LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'silent',
    ...env,
  });
  return {
    url: service.url,
    db: database.db,
    service,
    close: async () => {
      await service.stop();
      await database.close();
    },
  };
}
