import { randomBytes } from 'node:crypto';

import { type Db, type MongoClient } from 'mongodb';

import { createClient } from '../../src/mongo/connect';

/** A database that no other test knows of, on the mongod that the global set-up started. */
export interface FreshDatabase {
  readonly uri: string;
  readonly name: string;
  readonly client: MongoClient;
  readonly db: Db;
  /** Drops the database and closes the client. */
  close(): Promise<void>;
}

export function testMongoUri(): string {
  const uri = process.env['GRIDSTOW_TEST_MONGODB_URI'];
  if (uri === undefined)
    throw new TypeError('run by the jest project "service", which starts mongod');
  return uri;
}

export function freshDatabase(): FreshDatabase {
  const uri = testMongoUri();
  const name = `test_${randomBytes(6).toString('hex')}`;
  const client = createClient(uri, { appName: name });
  const db = client.db(name);
  return {
    uri,
    name,
    client,
    db,
    close: async () => {
      await db.dropDatabase();
      await client.close();
    },
  };
}
