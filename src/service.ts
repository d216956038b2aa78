import assert from 'node:assert';
import { once } from 'node:events';
import { type RequestListener, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';

import { NestFactory } from '@nestjs/core';
import { type NestExpressApplication } from '@nestjs/platform-express';

import { AppModule, type Foundation } from './app.module';
import { BackgroundWork, type RepeatedWork } from './common/background-work';
import { readConfig, type Config } from './config/config';
import { ConfigError } from './config/config.errors';
import { IdempotencyRepository } from './http/idempotency.repository';
import { drain } from './drain';
import { createLogger, FrameworkLogger, type Logger } from './http/logger';
import { type Lane } from './http/lane';
import { serveOpenApi } from './http/openapi';
import { guardServer } from './http/server-edge';
import { cutSlowReaders } from './http/slow-readers';
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
import { StagedArtifactsStore } from './protocols/mlflow/staged-artifacts.store';
import { TF_SERVING_ROUTES } from './protocols/tfserving/tfserving.docs';
import { TfServingLane } from './protocols/tfserving/tfserving.lane';
import { ModelRuntime } from './runtime/model-runtime.service';

/** An upload may take this long; everything else is over sooner by itself. */
const REQUEST_TIMEOUT_MS = 3_600_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** Longer than the minute for which proxies and clients keep a connection: one that closes first loses requests. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
const REAP_TIMES = { firstAfterMs: 15_000, pauseMs: 15_000 };
/** Not at once, nor is retention: a start has better things to do. */
const SWEEP_TIMES = { firstAfterMs: 5_000, pauseMs: 600_000 };
const RETAIN_TIMES = { firstAfterMs: 30_000, pauseMs: 3_600_000 };

const STAGED_TIMES = { firstAfterMs: 45_000, pauseMs: 3_600_000 };

/** A running service: the database it may have brought along, and the HTTP server. */
export interface Service {
  readonly url: string;
  readonly config: Config;
  readonly embedded: boolean;
  readonly engine: { readonly name: string; readonly why: string };
  readonly app: NestExpressApplication;
  readonly background: BackgroundWork;
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
    const background = startBackgroundWork(app, logger);
    return {
      url: urlOf(app, config),
      config,
      embedded: mongod !== null,
      engine: app.get(ModelRuntime).describe(),
      app,
      background,
      stop: async () => {
        await drain(app.getHttpServer(), app.get(ModelRuntime), background);
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
    serveOpenApi(app, [TF_SERVING_ROUTES]);
    await app.init();
    await database.start();
    // Nobody else writes to an embedded database, so before the first request every upload in it
    // is an interrupted one.
    if (soleOwner) {
      await app.get(UploadReaper).reap({ soleOwner: true });
      await app.get(IdempotencyRepository).releaseAll();
      await app.get(VersionLeasesRepository).releaseAll();
    }
    takeFirst(app.getHttpServer(), [app.get(PredictLane), app.get(TfServingLane)]);
    cutSlowReaders(app.getHttpServer(), config.sendTimeoutMs, (address) => {
      logger.warn({ address }, 'cut off a client that hardly took its answer');
    });
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

/** Asks the lanes about every request before the framework gets it. */
function takeFirst(server: Server, lanes: readonly Lane[]): void {
  const [framework] = server.listeners('request') as RequestListener[];
  assert(framework, 'the framework listens to its server from the start');
  server.off('request', framework);
  server.on('request', (request, response) => {
    if (lanes.some((lane) => lane.take(request, response))) return;
    framework(request, response);
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

/** Cleans up what was cut off, frees what nobody can reach, and removes records whose time is over. */
function startBackgroundWork(app: NestExpressApplication, logger: Logger): BackgroundWork {
  const background = new BackgroundWork();
  const database = app.get(DatabaseService);
  const repeat = (
    name: string,
    times: Pick<RepeatedWork, 'firstAfterMs' | 'pauseMs'>,
    run: RepeatedWork['run'],
  ): void => {
    background.repeat({
      ...times,
      run: async (signal) => {
        if ((await database.health()).ok) await run(signal);
      },
      onFailure: (error) => {
        logger.warn({ err: error }, `${name} failed; tried again later`);
      },
    });
  };
  const reaper = app.get(UploadReaper);
  repeat('cleaning up after interrupted uploads', REAP_TIMES, async (signal) => {
    const finished = await reaper.reap({ signal });
    if (finished > 0) logger.info({ finished }, 'finished interrupted uploads and deletions');
  });
  const sweeper = app.get(Sweeper);
  repeat('a sweep', SWEEP_TIMES, async (signal) => {
    const { finished, ...removed } = await sweeper.sweep({ signal });
    if (removed.blobs > 0) logger.info(removed, 'swept bytes that nobody referred to');
    else logger.debug({ finished, ...removed }, 'swept');
  });
  const staged = app.get(StagedArtifactsStore);
  repeat('removing staged artifacts', STAGED_TIMES, async (signal) => {
    const removed = await staged.sweep(signal);
    if (removed > 0) logger.info({ removed }, 'removed artifacts that nobody registered');
  });
  const retention = app.get(Retention);
  repeat('removing old records', RETAIN_TIMES, async (signal) => {
    const { finished, waiting, ...removed } = await retention.retain({ signal });
    const isAny = removed.records + removed.inputs > 0;
    logger[isAny ? 'info' : 'debug']({ finished, waiting, ...removed }, 'removed old records');
  });
  return background;
}

function urlOf(app: NestExpressApplication, { host }: Config): string {
  const { port } = app.getHttpServer().address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
