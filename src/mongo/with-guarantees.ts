import { type Db, ReadConcern } from 'mongodb';

/**
 * The same database with the guarantees that `createClient` gives, whatever the client that
 * somebody else opened was set to.
 */
export function withGuarantees(db: Db): Db {
  return db.client.db(db.databaseName, {
    readConcern: new ReadConcern('majority'),
    readPreference: 'primary',
    writeConcern: { w: 'majority', wtimeoutMS: 10_000 },
    ignoreUndefined: true,
  });
}
