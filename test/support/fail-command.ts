import { type Collection, type MongoClient } from 'mongodb';

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

/** The name under which a service on that database speaks to the server. */
export function serviceAppName(databaseName: string): string {
  return `gridstow/${databaseName}`;
}

/**
 * Makes commands of the clients with that `appName` fail while `work` runs. Armed through `admin`,
 * which needs another name, or it would fail itself. The server has one such fail point for all
 * tests that run at the same time, so they take turns. `work` may wait until a first command `met`
 * it. Throws when none did: a test whose fault never happened shows nothing.
 */
export async function whileFailing<T>(
  admin: MongoClient,
  appName: string,
  failure: CommandFailure,
  work: (met: () => Promise<void>) => Promise<T>,
): Promise<T> {
  /** @returns how many commands ever met the fail point */
  const command = async (mode: string, data?: object): Promise<number> => {
    const point = { configureFailPoint: 'failCommand', mode, ...(data && { data }) };
    return Number((await admin.db('admin').command(point))['count']);
  };
  await takeTurn(admin);
  let [before, after] = [0, 0];
  let result: T;
  try {
    before = await command('alwaysOn', { ...failure, appName });
    result = await work(async () => {
      const timesEntered = before + 1;
      const wait = { waitForFailPoint: FAIL_POINT, timesEntered, maxTimeMS: TURN_MS };
      await admin.db('admin').command(wait);
    });
  } finally {
    after = await command('off');
    await turns(admin).deleteOne({ _id: FAIL_POINT });
  }
  if (after === before) {
    throw new Error(`No ${failure.failCommands.join(' or ')} of ${appName} met the fail point`);
  }
  return result;
}

const FAIL_POINT = 'failCommand';
/** A turn is given up when whoever took it died. */
const TURN_MS = 60_000;

function turns(admin: MongoClient): Collection<{ _id: string; since: Date }> {
  return admin.db('test_turns').collection('turns');
}

async function takeTurn(admin: MongoClient): Promise<void> {
  for (;;) {
    const stale = { _id: FAIL_POINT, since: { $lt: new Date(Date.now() - TURN_MS) } };
    await turns(admin).deleteOne(stale);
    try {
      await turns(admin).insertOne({ _id: FAIL_POINT, since: new Date() });
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 11000) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
