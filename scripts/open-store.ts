import { type Db } from 'mongodb';

import { InlineCodec } from '../src/artifacts/codec/inline.codec';
import { readConfig } from '../src/config/config';
import { openStoreKeeping, type StoreKeeping } from '../src/models/store-keeping';
import { createClient } from '../src/mongo/connect';
import { EmbeddedMongod } from '../src/mongo/embedded-mongod';
import { resolveMongodBinary } from '../src/mongo/mongod-binary';

/** The store that a service with this environment would have, without the service. */
export async function withStore<T>(
  env: Readonly<Record<string, string | undefined>>,
  work: (store: StoreKeeping, db: Db) => Promise<T>,
): Promise<T> {
  const config = readConfig(env);
  const { dataDir } = config;
  const mongod =
    config.mongodb.uri === undefined
      ? await EmbeddedMongod.start({
          dataDir,
          binary: await resolveMongodBinary({ dataDir, env, log: console.log }),
        })
      : undefined;
  const client = createClient(config.mongodb.uri ?? mongod?.uri ?? '', {
    appName: 'gridstow-keeping',
  });
  try {
    const db = client.db(config.mongodb.db);
    return await work(openStoreKeeping(db, new InlineCodec(), config), db);
  } finally {
    await client.close();
    await mongod?.stop();
  }
}
