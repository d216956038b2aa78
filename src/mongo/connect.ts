import { MongoClient, type MongoClientOptions } from 'mongodb';

import { guardReplies } from './reply-guard';
import { guardWrites } from './write-guard';

export interface ConnectOptions {
  /** Shown in the server's logs and `currentOp`. */
  readonly appName: string;
  readonly maxPoolSize?: number;
  /** How long one operation may look for a usable server before it fails. */
  readonly serverSelectionTimeoutMS?: number;
}

/**
 * A client with the guarantees that every promise of the store rests on: writes acknowledged by a
 * majority, reads of what a majority has. The connection opens with the first operation.
 */
export function createClient(uri: string, options: ConnectOptions): MongoClient {
  guardWrites();
  guardReplies();
  const settings: MongoClientOptions = {
    appName: options.appName,
    readConcernLevel: 'majority',
    readPreference: 'primary',
    retryWrites: true,
    retryReads: true,
    maxPoolSize: options.maxPoolSize ?? 100,
    // A server that is frozen, not gone, is given up after these two together; with the driver's
    // own values requests would hang for 40 seconds.
    heartbeatFrequencyMS: 2_000,
    connectTimeoutMS: 5_000,
    serverSelectionTimeoutMS: options.serverSelectionTimeoutMS ?? 5_000,
    // Writes end on their own: a lost majority is an error after this time, not a hang.
    writeConcern: { w: 'majority', wtimeoutMS: 10_000 },
    // Weights are compressed already; wire compression would only cost time.
    compressors: ['none'],
    ignoreUndefined: true,
  };
  return new MongoClient(uri, settings);
}
