import { setTimeout as sleep } from 'node:timers/promises';

import { type Db, MongoClient, MongoServerError } from 'mongodb';

import { MongodStartError } from './mongo.errors';
import { type MongodProcess, REPLICA_SET } from './mongod-process';

const PRIMARY_TIMEOUT_MS = 300_000;
const POLL_MS = 25;

interface Member {
  readonly host: string;
}
interface ReplicaSetConfig {
  readonly version: number;
  readonly members: readonly Member[];
}

/**
 * Makes a server the primary of its one-member set and waits until it takes writes.
 *
 * Kept files remember the address of their last start. Under another port the member would look
 * for itself where it no longer is, so the address is forced to the present one.
 *
 * @throws MongodStartError when the server ends first, or takes longer than five minutes
 */
export async function bringToPrimary(
  server: MongodProcess,
  port: number,
  signal?: AbortSignal,
): Promise<void> {
  const host = `127.0.0.1:${String(port)}`;
  const client = new MongoClient(`mongodb://${host}/?directConnection=true`, {
    appName: 'gridstow-embedded',
    maxPoolSize: 1,
    serverSelectionTimeoutMS: 500,
    connectTimeoutMS: 500,
  });
  const admin = client.db('admin');
  const deadline = Date.now() + PRIMARY_TIMEOUT_MS;
  try {
    let isConfigured = false;
    while (Date.now() < deadline && !server.hasExited && signal?.aborted !== true) {
      try {
        // By itself the driver gives up for good when its first connection is refused.
        await client.connect();
        isConfigured ||= await configure(admin, host);
        const hello = await admin.command({ hello: 1 });
        if (hello['isWritablePrimary'] === true) return;
      } catch (error) {
        // Not listening yet, or busy with its recovery.
        if (error instanceof MongoServerError && isHopeless(error)) throw error;
      }
      await sleep(POLL_MS);
    }
    throw new MongodStartError('The embedded database did not become primary');
  } finally {
    await client.close();
  }
}

async function configure(admin: Db, host: string): Promise<true> {
  const config = await currentConfig(admin);
  if (config === null) {
    await admin.command({
      replSetInitiate: { _id: REPLICA_SET, members: [{ _id: 0, host }] },
    });
  } else if (config.members[0]?.host !== host) {
    await admin.command({
      replSetReconfig: {
        ...config,
        version: config.version + 1,
        members: [{ ...config.members[0], host }],
      },
      force: true,
    });
  }
  return true;
}

async function currentConfig(admin: Db): Promise<ReplicaSetConfig | null> {
  try {
    const answer = await admin.command({ replSetGetConfig: 1 });
    return answer['config'] as ReplicaSetConfig;
  } catch (error) {
    if (error instanceof MongoServerError && error.codeName === 'NotYetInitialized') return null;
    throw error;
  }
}

/** Errors that waiting does not cure: a configuration the server refuses. */
function isHopeless({ codeName }: MongoServerError): boolean {
  return (
    codeName === 'InvalidReplicaSetConfig' || codeName === 'NewReplicaSetConfigurationIncompatible'
  );
}
