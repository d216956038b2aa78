import { setTimeout as sleep } from 'node:timers/promises';

import { type Db, type Document, type MongoClient, MongoError } from 'mongodb';

import { asStoreError } from './mongo-failure';
import { DatabaseUnavailableError, UnsupportedServerError } from './mongo.errors';
import { type Schema } from './schema';

/** How old the last sign of life may be before readiness asks again. */
const PROBE_TTL_MS = 500;
const PROBE_TIMEOUT_MS = 1_000;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5_000;

/** What the readiness probe found. */
export interface DatabaseHealth {
  readonly ok: boolean;
  readonly reason?: string;
}

/**
 * The connection to MongoDB and the promise that its schema stands.
 *
 * A database that is down at start is waited for: the service lives, is not ready, and becomes so
 * by itself. A server that can never work (standalone) is the one failure that ends the start.
 */
export class DatabaseService {
  readonly db: Db;
  private schemaApplied = false;
  private stopped = false;
  private lastProbe: { at: number; health: DatabaseHealth } | undefined;
  private retry: NodeJS.Timeout | undefined;
  private greeting: Promise<Document> | undefined;

  constructor(
    readonly client: MongoClient,
    name: string,
    private readonly schema: Schema,
    private readonly log: (message: string) => void,
  ) {
    this.db = client.db(name);
  }

  /**
   * Checks the server and applies the schema; when the server does not answer it goes on trying
   * in the background.
   *
   * @throws UnsupportedServerError
   */
  async start(): Promise<void> {
    try {
      await this.prepare();
    } catch (error) {
      if (error instanceof UnsupportedServerError) throw error;
      this.log(`The database does not answer yet: ${messageOf(error)}`);
      this.tryAgain(FIRST_RETRY_MS);
    }
  }

  /** Whether a majority of the database takes writes and every index stands. */
  async health(): Promise<DatabaseHealth> {
    const now = Date.now();
    if (this.lastProbe && now - this.lastProbe.at < PROBE_TTL_MS) return this.lastProbe.health;
    const health = await this.probe();
    this.lastProbe = { at: Date.now(), health };
    return health;
  }

  /** @throws DatabaseUnavailableError while the schema could not be applied yet */
  assertPrepared(): void {
    if (!this.schemaApplied) {
      throw new DatabaseUnavailableError('The database is not ready yet; try again in a moment', {
        retryAfterSeconds: 1,
      });
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.retry);
    await this.client.close();
  }

  private async prepare(): Promise<void> {
    // By itself the driver connects once: after a refusal every later operation would fail as well.
    await this.client.connect();
    const hello = await this.db.admin().command({ hello: 1 });
    if (hello['setName'] === undefined && hello['msg'] !== 'isdbgrid') {
      throw new UnsupportedServerError(
        'MONGODB_URI points to a standalone server, which cannot acknowledge by majority; start it with --replSet rs0 and run rs.initiate() once to make it a one-member replica set',
      );
    }
    await this.schema.apply(this.db);
    this.schemaApplied = true;
  }

  private tryAgain(delayMs: number): void {
    if (this.stopped) return;
    this.retry = setTimeout(() => {
      this.prepare().then(
        () => {
          this.log('The database answers; the schema stands');
        },
        (error: unknown) => {
          this.log(`The database cannot be used yet: ${messageOf(error)}`);
          this.tryAgain(Math.min(delayMs * 2, LAST_RETRY_MS));
        },
      );
    }, delayMs);
  }

  private async probe(): Promise<DatabaseHealth> {
    if (!this.schemaApplied) return { ok: false, reason: 'The schema has not been applied yet' };
    try {
      const hello = await this.sayHello();
      return hello['isWritablePrimary'] === true
        ? { ok: true }
        : { ok: false, reason: 'The database has no primary' };
    } catch (error) {
      return { ok: false, reason: messageOf(asStoreError(error) ?? error) };
    }
  }

  /** One question at a time: while a server is frozen they would only pile up. */
  private async sayHello(): Promise<Document> {
    this.greeting ??= this.db
      .admin()
      .command({ hello: 1 })
      .finally(() => {
        this.greeting = undefined;
      });
    return await Promise.race([this.greeting, timeout(PROBE_TIMEOUT_MS)]);
  }
}

/** Rejects in time: no option of the driver ends the wait for a server that froze. */
async function timeout(afterMs: number): Promise<never> {
  await sleep(afterMs, undefined, { ref: false });
  throw new DatabaseUnavailableError(`The database does not answer within ${String(afterMs)} ms`);
}

function messageOf(error: unknown): string {
  // Driver messages can quote the connection string's hosts, never its password.
  return error instanceof MongoError || error instanceof Error ? error.message : String(error);
}
