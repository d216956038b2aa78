import assert from 'node:assert';
import { once } from 'node:events';
import { type RequestListener, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';

import { NestFactory } from '@nestjs/core';
import { type NestExpressApplication } from '@nestjs/platform-express';

import { AppModule, type Foundation } from './app.module';
import { readConfig, type Config } from './config/config';
import { ConfigError } from './config/config.errors';
import { IdempotencyRepository } from './http/idempotency.repository';
import { drain } from './drain';
import { createLogger, FrameworkLogger, type Logger } from './http/logger';
import { serveOpenApi } from './http/openapi';
import { guardServer } from './http/server-edge';
import { Sweeper } from './models/sweeper.service';
import { UploadReaper } from './models/upload-reaper.service';
import { VersionLeasesRepository } from './models/version-leases.repository';
import { createClient } from './mongo/connect';
import { DatabaseService } from './mongo/database.service';
import { EmbeddedMongod } from './mongo/embedded-mongod';
import { resolveMongodBinary } from './mongo/mongod-binary';
import { Schema } from './mongo/schema';
import { PredictLane } from './predictions/predict-lane.service';
import { Retention } from './predictions/retention.service';
import { ModelRuntime } from './runtime/model-runtime.service';

/** An upload may take this long; everything else is over sooner by itself. */
const REQUEST_TIMEOUT_MS = 3_600_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** Longer than the minute for which proxies and clients keep a connection: one that closes first loses requests. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
const REAP_EVERY_MS = 15_000;
/** Not at once: a start has better things to do. */
const FIRST_SWEEP_MS = 5_000;
const SWEEP_EVERY_MS = 600_000;
const FIRST_RETAIN_MS = 30_000;
const RETAIN_EVERY_MS = 3_600_000;

/** A running service: the database it may have brought along, and the HTTP server. */
export interface Service {
  readonly url: string;
  readonly config: Config;
  readonly embedded: boolean;
  readonly engine: { readonly name: string; readonly why: string };
  readonly app: NestExpressApplication;
  stop(): Promise<void>;
}

/**
 * Starts everything, in the order in which it depends on each other, and stops it in the reverse.
 *
 * @throws StoreError with one sentence when a setting, the data directory or the database server
 * makes a start impossible; nothing is left running then
 */
export async function startService(
  env: Readonly<Record<string, string | undefined>>,
): Promise<Service> {
  const given = readConfig(env);
  const logger = createLogger(given.logLevel);
  const mongod = given.mongodb.uri === undefined ? await startMongod(given, env, logger) : null;
  const uri = given.mongodb.uri ?? mongod?.uri;
  const config: Config = { ...given, mongodb: { ...given.mongodb, uri } };
  try {
    const app = await startApp(config, logger, mongod !== null);
    return {
      url: urlOf(app, config),
      config,
      embedded: mongod !== null,
      engine: app.get(ModelRuntime).describe(),
      app,
      stop: async () => {
        await drain(app.getHttpServer(), app.get(ModelRuntime));
        await app.close();
        await mongod?.stop();
      },
    };
  } catch (error) {
    await mongod?.stop();
    throw error;
  }
}

async function startMongod(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  logger: Logger,
): Promise<EmbeddedMongod> {
  const log = (message: string): void => {
    logger.info(message);
  };
  const binary = await resolveMongodBinary({ dataDir: config.dataDir, env, log });
  return await EmbeddedMongod.start({ dataDir: config.dataDir, binary, log });
}

async function startApp(
  config: Config,
  logger: Logger,
  soleOwner: boolean,
): Promise<NestExpressApplication> {
  const schema = new Schema();
  const client = createClient(config.mongodb.uri ?? '', {
    appName: `gridstow/${config.mongodb.db}`,
  });
  const database = new DatabaseService(client, config.mongodb.db, schema, (message) => {
    logger.warn(message);
  });
  const foundation: Foundation = { config, logger, database, schema };
  const app = await NestFactory.create<NestExpressApplication>(AppModule.with(foundation), {
    logger: new FrameworkLogger(logger),
    // Bodies are read by the routes themselves, each with its own limit.
    bodyParser: false,
    abortOnError: false,
  });
  try {
    app.disable('x-powered-by');
    app.set('query parser', 'simple');
    app.set('etag', false);
    serveOpenApi(app);
    await app.init();
    await database.start();
    const reaper = app.get(UploadReaper);
    // Nobody else writes to an embedded database, so before the first request every upload in it
    // is an interrupted one.
    if (soleOwner) {
      await reaper.reap(true);
      await app.get(IdempotencyRepository).releaseAll();
      await app.get(VersionLeasesRepository).releaseAll();
    }
    keepReaping(reaper, database, logger);
    keepSweeping(app.get(Sweeper), database, logger);
    keepRetaining(app.get(Retention), database, logger);
    takeFirst(app.getHttpServer(), app.get(PredictLane));
    const server = await listen(app, config);
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    server.headersTimeout = HEADERS_TIMEOUT_MS;
    server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
    return app;
  } catch (error) {
    await app.close();
    throw error;
  }
}

/** Asks the lane about every request before the framework gets it. */
function takeFirst(server: Server, lane: PredictLane): void {
  const [framework] = server.listeners('request') as RequestListener[];
  assert(framework, 'the framework listens to its server from the start');
  server.off('request', framework);
  server.on('request', (request, response) => {
    if (!lane.take(request, response)) framework(request, response);
  });
}

/** @throws ConfigError when the address cannot be listened on */
async function listen(app: NestExpressApplication, { port, host }: Config): Promise<Server> {
  // Not through the framework, which would log the failure beside the sentence that explains it.
  const server = app.getHttpServer();
  guardServer(server);
  try {
    server.listen(port, host);
    await once(server, 'listening');
    return server;
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code;
    if (why === 'EADDRINUSE') {
      throw new ConfigError(
        `PORT=${port} is taken on ${host} by another program; stop it, or set PORT to a free one`,
        {},
        { cause },
      );
    }
    throw new ConfigError(
      `HOST=${host} cannot be listened on (${why ?? 'unknown'})`,
      {},
      { cause },
    );
  }
}

/** Cleans up after uploads whose process died, here or on another replica. */
function keepReaping(reaper: UploadReaper, database: DatabaseService, logger: Logger): void {
  const reap = async (): Promise<void> => {
    if (!(await database.health()).ok) return;
    const reaped = await reaper.reap();
    if (reaped > 0) logger.info({ finished: reaped }, 'finished interrupted uploads and deletions');
  };
  setInterval(() => {
    reap().catch((error: unknown) => {
      logger.warn({ err: error }, 'cleaning up after interrupted uploads failed; tried again soon');
    });
  }, REAP_EVERY_MS).unref();
}

/** Removes what nobody can reach any more: at the start, and then every few minutes. */
function keepSweeping(sweeper: Sweeper, database: DatabaseService, logger: Logger): void {
  const sweep = async (): Promise<void> => {
    if (!(await database.health()).ok) return;
    const { finished, ...removed } = await sweeper.sweep();
    if (removed.blobs > 0) logger.info(removed, 'swept bytes that nobody referred to');
    else logger.debug({ finished, ...removed }, 'swept');
  };
  const trySweep = (): void => {
    sweep().catch((error: unknown) => {
      logger.warn({ err: error }, 'a sweep failed; tried again later');
    });
  };
  setTimeout(trySweep, FIRST_SWEEP_MS).unref();
  setInterval(trySweep, SWEEP_EVERY_MS).unref();
}

/** Removes records whose time is over, and inputs without a record: soon, and then every hour. */
function keepRetaining(retention: Retention, database: DatabaseService, logger: Logger): void {
  const retain = async (): Promise<void> => {
    if (!(await database.health()).ok) return;
    const { finished, waiting, ...removed } = await retention.retain();
    const isAny = removed.records + removed.inputs > 0;
    logger[isAny ? 'info' : 'debug']({ finished, waiting, ...removed }, 'removed old records');
  };
  const tryRetain = (): void => {
    retain().catch((error: unknown) => {
      logger.warn({ err: error }, 'removing old records failed; tried again later');
    });
  };
  setTimeout(tryRetain, FIRST_RETAIN_MS).unref();
  setInterval(tryRetain, RETAIN_EVERY_MS).unref();
}

function urlOf(app: NestExpressApplication, { host }: Config): string {
  const { port } = app.getHttpServer().address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
