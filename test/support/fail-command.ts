import { type MongoClient } from 'mongodb';

/** What a fail point does to the commands it meets; see `failCommand` of MongoDB. */
export interface CommandFailure {
  readonly failCommands: readonly string[];
  readonly errorCode?: number;
  readonly closeConnection?: boolean;
  readonly writeConcernError?: { readonly code: number; readonly errmsg: string };
  readonly blockConnection?: boolean;
  readonly blockTimeMS?: number;
  readonly namespace?: string;
}

/**
 * Makes commands of the clients with that `appName` fail while `work` runs. Armed through `admin`,
 * which needs another name, or it would fail itself.
 */
export async function whileFailing<T>(
  admin: MongoClient,
  appName: string,
  failure: CommandFailure,
  work: () => Promise<T>,
): Promise<T> {
  const command = async (mode: string, data?: object): Promise<void> => {
    await admin
      .db('admin')
      .command({ configureFailPoint: 'failCommand', mode, ...(data && { data }) });
  };
  await command('alwaysOn', { ...failure, appName });
  try {
    return await work();
  } finally {
    await command('off');
  }
}
