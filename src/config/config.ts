import { availableParallelism, totalmem } from 'node:os';
import { resolve } from 'node:path';

import { isModelName } from '../common/model-ref';
import { ConfigError } from './config.errors';

export const ENGINE_CHOICES = ['auto', 'onnx', 'wasm', 'node', 'cpu'] as const;
export type EngineChoice = (typeof ENGINE_CHOICES)[number];

/** When a prediction is answered relative to its record; see predictions/recorder. */
export const RECORDING_MODES = ['durable', 'queued', 'off'] as const;
export type RecordingMode = (typeof RECORDING_MODES)[number];

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Every setting of the service; the variables behind them stand in README.md. */
export interface Config {
  readonly port: number;
  readonly host: string;
  readonly allowAnonymous: boolean;
  readonly mongodb: {
    /** Undefined: the embedded database. */
    readonly uri: string | undefined;
    readonly db: string;
    /** A mongod binary for the embedded database. */
    readonly binary: string | undefined;
  };
  readonly dataDir: string;
  readonly engine: EngineChoice;
  readonly executors: number;
  /** Budget for loaded models. */
  readonly memoryBytes: number;
  readonly recording: RecordingMode;
  /** How long the bytes of a deleted version stay for those who are still reading them. */
  readonly deleteGraceMs: number;
  readonly maxUploadBytes: number;
  readonly maxBodyBytes: number;
  readonly predictTimeoutMs: number;
  /** How long an uploaded model may keep an engine that opens it for the first time. */
  readonly openTimeoutMs: number;
  /** A client that hardly takes anything of its answer for so long loses its connection. */
  readonly sendTimeoutMs: number;
  readonly defaultModel: string | undefined;
  readonly logLevel: LogLevel;
}

const MIB = 1024 * 1024;

/**
 * Reads the settings from the environment.
 *
 * @throws ConfigError naming the variable, its value and what is allowed
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const config: Config = {
    port: integer(env, 'PORT', 8501, 0, 65535),
    host: text(env, 'HOST') ?? '127.0.0.1',
    allowAnonymous: boolean(env, 'GRIDSTOW_ALLOW_ANONYMOUS', false),
    mongodb: {
      uri: mongoUri(env),
      db: databaseName(env),
      binary: text(env, 'GRIDSTOW_MONGOD'),
    },
    dataDir: resolve(text(env, 'GRIDSTOW_DATA_DIR') ?? '.gridstow'),
    engine: oneOf(env, 'GRIDSTOW_ENGINE', ENGINE_CHOICES, 'auto'),
    executors: integer(env, 'GRIDSTOW_EXECUTORS', availableParallelism(), 1, 256),
    memoryBytes:
      integer(env, 'GRIDSTOW_MEMORY_MB', Math.floor(totalmem() / 2 / MIB), 16, 1 << 24) * MIB,
    recording: oneOf(env, 'GRIDSTOW_RECORDING', RECORDING_MODES, 'durable'),
    deleteGraceMs: integer(env, 'GRIDSTOW_DELETE_GRACE_MS', 60_000, 0, 604_800_000),
    maxUploadBytes: integer(env, 'GRIDSTOW_MAX_UPLOAD_MB', 4096, 1, 1 << 20) * MIB,
    maxBodyBytes: integer(env, 'GRIDSTOW_MAX_BODY_MB', 32, 1, 1024) * MIB,
    predictTimeoutMs: integer(env, 'GRIDSTOW_PREDICT_TIMEOUT_MS', 30_000, 10, 3_600_000),
    openTimeoutMs: integer(env, 'GRIDSTOW_OPEN_TIMEOUT_MS', 20_000, 1_000, 120_000),
    sendTimeoutMs: integer(env, 'GRIDSTOW_SEND_TIMEOUT_MS', 60_000, 100, 3_600_000),
    defaultModel: defaultModel(env),
    logLevel: oneOf(env, 'LOG_LEVEL', LOG_LEVELS, 'info'),
  };
  if (!isLoopback(config.host) && !config.allowAnonymous) {
    throw new ConfigError(
      `HOST=${config.host} would open the service to the network without API keys; set GRIDSTOW_ALLOW_ANONYMOUS=true if everyone who reaches it may do everything, or HOST=127.0.0.1`,
    );
  }
  return config;
}

/** Whether only this machine can reach an address to listen on. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

type Env = Readonly<Record<string, string | undefined>>;

/** An empty variable counts as unset: compose files and shells write `VAR=` for that. */
function text(env: Env, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === '' ? undefined : value;
}

function integer(env: Env, name: string, fallback: number, min: number, max: number): number {
  const value = text(env, name);
  if (value === undefined) return fallback;
  const number = /^\d{1,15}$/.test(value) ? Number(value) : NaN;
  if (!(number >= min && number <= max)) {
    throw new ConfigError(`${name}=${value} must be a whole number from ${min} to ${max}`);
  }
  return number;
}

function boolean(env: Env, name: string, fallback: boolean): boolean {
  const value = text(env, name);
  if (value === undefined) return fallback;
  if (value !== 'true' && value !== 'false') {
    throw new ConfigError(`${name}=${value} must be true or false`);
  }
  return value === 'true';
}

function oneOf<T extends string>(env: Env, name: string, allowed: readonly T[], fallback: T): T {
  const value = text(env, name);
  if (value === undefined) return fallback;
  const match = allowed.find((candidate) => candidate === value);
  if (match === undefined) {
    throw new ConfigError(`${name}=${value} must be one of ${allowed.join(', ')}`);
  }
  return match;
}

function mongoUri(env: Env): string | undefined {
  const uri = text(env, 'MONGODB_URI');
  if (uri !== undefined && !/^mongodb(\+srv)?:\/\/./.test(uri)) {
    // The value is left out: a connection string carries a password.
    throw new ConfigError(
      'MONGODB_URI must start with mongodb:// or mongodb+srv:// (the value is not shown because it may hold a password)',
    );
  }
  return uri;
}

function databaseName(env: Env): string {
  const name = text(env, 'GRIDSTOW_DB') ?? 'gridstow';
  if (!/^[A-Za-z0-9_-]{1,38}$/.test(name)) {
    throw new ConfigError(
      `GRIDSTOW_DB=${name} must be 1 to 38 letters, digits, dashes and underscores`,
    );
  }
  return name;
}

function defaultModel(env: Env): string | undefined {
  const name = text(env, 'GRIDSTOW_DEFAULT_MODEL');
  if (name !== undefined && !isModelName(name)) {
    throw new ConfigError(`GRIDSTOW_DEFAULT_MODEL=${name} must be a model name`);
  }
  return name;
}
