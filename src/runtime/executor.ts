import { type ChildProcess, spawn } from 'node:child_process';
import { type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { type Readable } from 'node:stream';

import { entryPath } from '../common/entry-path';
import { type NamedTensors } from '../common/tensor';
import { type LoadableVersion } from '../models/version';
import { type StackedTensors } from './batch';
import { type CompiledAtLoad, type EngineName, type FileSource } from './engines/engine';
import { ownTemporaryFolder } from './engines/scratch-folder';
import { ExecutorEndpoint } from './executor-endpoint';
import {
  decodeTensors,
  encodeTensors,
  type ExecutorDatabase,
  type ExecutorReplies,
  type ExecutorReply,
  type ExecutorRequest,
  type ExecutorStats,
  type Vitals,
  fromWireError,
  toWireVersion,
  versionKey,
} from './executor-protocol';
import { residentBytes } from './resident-memory';
import { encodeFrame, FrameDecoder } from './framing';
import {
  EngineUnavailableError,
  ExecutorLostError,
  PredictionDeadlineError,
} from './runtime.errors';

/** How long an engine may take to start; native libraries read hundreds of megabytes. */
const START_DEADLINE_MS = 60_000;
const MEMORY_WATCH_MS = 250;
/** How long a process that is asked to end may take. */
const STOP_GRACE_MS = 2_000;
/** How long a child that lost its socket may take to notice. */
const EXIT_GRACE_MS = 1_000;

export interface ExecutorOptions {
  readonly engine: EngineName;
  /** How many one call may compute on, for engines that have a choice; one by default. */
  readonly threads?: number;
  /** Where the executor reads artifacts: its own database client, or files sent with each load. */
  readonly files: ExecutorDatabase | FileSource;
  /** Beyond this much memory the process is ended, in the middle of whatever it does. */
  readonly maxRssBytes?: number;
  /** Where it may put files for the moment; by default below the system's folder for such. */
  readonly scratchDir?: string;
  /** Takes what the process prints: native libraries write to stderr as they please. */
  readonly log: (line: string) => void;
}

/** What a load found out, and what was compiled for it. */
export type LoadedVersion = Omit<ExecutorReplies['load'], 'compiled'> & {
  readonly compiled: CompiledAtLoad | null;
};

interface Answer {
  readonly value: unknown;
  readonly payload: Uint8Array;
}

interface InFlight {
  readonly resolve: (reply: Answer) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
  /** The version that it is about, if any. */
  readonly subject: string | null;
}

/**
 * The parent's side of one executor process, from its start to its end.
 *
 * Every request is answered or fails: by its deadline, which kills the process because nothing else
 * stops a computation, or with the process, however that ends. A dead executor stays dead; whoever
 * needs another starts one.
 */
export class Executor {
  /** Settles when the process is gone; says why in a sentence. */
  readonly ended: Promise<string>;
  private readonly inFlight = new Map<number, InFlight>();
  private nextId = 1;
  private endedBecause: string | undefined;
  private underWay: readonly string[] | undefined;
  private stopping = false;
  private identity = { description: '', pid: 0 };
  private lastVitals: Vitals = { tensors: 0, rssBytes: 0 };

  private constructor(
    readonly engine: EngineName,
    private readonly options: ExecutorOptions,
    private readonly child: ChildProcess,
    private readonly socket: Socket,
  ) {
    const decoder = new FrameDecoder();
    socket.on('data', (piece) => {
      try {
        for (const { header, payload } of decoder.push(piece)) {
          this.settle(header as ExecutorReply, payload);
        }
      } catch (error) {
        this.kill(`it answered with bytes that are no frames (${String(error)})`);
      }
    });
    // The process decides: a socket that breaks ends it, and its exit is what is reported.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      setTimeout(() => child.kill('SIGKILL'), EXIT_GRACE_MS).unref();
    });
    const { maxRssBytes } = options;
    const watch = maxRssBytes === undefined ? undefined : this.watchMemory(maxRssBytes);
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.endedBecause ??= this.stopping
          ? 'it was stopped'
          : `it ended by itself (${signal ?? `exit code ${code ?? 'unknown'}`})`;
        socket.destroy();
        clearInterval(watch);
        this.failAll(this.endedBecause);
        resolve(this.endedBecause);
      });
    });
  }

  /**
   * Starts a process and its engine.
   *
   * @throws EngineUnavailableError when the engine does not start here
   */
  static async start(options: ExecutorOptions): Promise<Executor> {
    const { engine, files } = options;
    const endpoint = await ExecutorEndpoint.open();
    try {
      const child = spawn(
        process.execPath,
        [entryPath(__dirname, 'executor.entry'), endpoint.path],
        { stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true, env: childEnvironment() },
      );
      forwardLines(child.stdout, options.log);
      forwardLines(child.stderr, options.log);
      const socket = await Promise.race([endpoint.accept(), failedStart(engine, child)]);
      const executor = new Executor(engine, options, child, socket);
      await executor.openEngine('uri' in files ? files : null);
      return executor;
    } finally {
      await endpoint.close();
    }
  }

  get description(): string {
    return this.identity.description;
  }

  get pid(): number {
    return this.identity.pid;
  }

  /** The one version that was loading or computing when the process was lost; null if there were more. */
  get lostTo(): string | null {
    const [only, ...others] = this.underWay ?? [];
    return others.length === 0 ? (only ?? null) : null;
  }

  /** As of its last answer. */
  get vitals(): Vitals {
    return this.lastVitals;
  }

  get isAlive(): boolean {
    return this.endedBecause === undefined;
  }

  async load(version: LoadableVersion, deadlineMs: number): Promise<LoadedVersion> {
    const loaded = ({ value, payload }: Answer): LoadedVersion => {
      const { compiled, ...reply } = value as ExecutorReplies['load'];
      this.lastVitals = reply.vitals;
      return { ...reply, compiled: compiled && { ...compiled, form: payload } };
    };
    const { files } = this.options;
    if ('uri' in files) {
      const request = { kind: 'load', version: toWireVersion(version) } as const;
      return loaded(await this.ask({ ...request, fileBytes: null }, [], deadlineMs));
    }
    // Only its files are sent along.
    const uncompiled = toWireVersion({ ...version, compiled: undefined });
    const request = { kind: 'load', version: uncompiled } as const;
    const parts: Uint8Array[] = [];
    for (const file of version.files) parts.push(new Uint8Array(await files.read(file)));
    const fileBytes = parts.map(({ byteLength }) => byteLength);
    return loaded(await this.ask({ ...request, fileBytes }, parts, deadlineMs));
  }

  async predict(
    version: LoadableVersion,
    inputs: NamedTensors | StackedTensors,
    deadlineMs: number,
  ): Promise<{ readonly outputs: NamedTensors; readonly inferMs: number }> {
    const { headers, payload } = encodeTensors(inputs);
    const request = { kind: 'predict', key: versionKey(version), tensors: headers } as const;
    const reply = await this.ask(request, payload, deadlineMs);
    const { tensors, inferMs, vitals } = reply.value as ExecutorReplies['predict'];
    this.lastVitals = vitals;
    return { outputs: decodeTensors(tensors, reply.payload), inferMs };
  }

  async unload(key: string, deadlineMs: number): Promise<void> {
    await this.ask({ kind: 'unload', key }, [], deadlineMs);
  }

  async stats(deadlineMs: number): Promise<ExecutorStats> {
    const { value } = await this.ask({ kind: 'stats' }, [], deadlineMs);
    return value as ExecutorStats;
  }

  /** Ends the process at once; requests under way fail. */
  kill(reason: string): void {
    this.endedBecause ??= reason;
    this.failAll(reason);
    this.child.kill('SIGKILL');
  }

  /** Lets the process end by closing its socket; waits until it has. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.socket.end();
    // A call that never ends would not notice.
    const late = setTimeout(() => this.child.kill('SIGKILL'), STOP_GRACE_MS);
    await this.ended;
    clearTimeout(late);
  }

  private async openEngine(database: ExecutorDatabase | null): Promise<void> {
    try {
      const { threads = 1, scratchDir = ownTemporaryFolder() } = this.options;
      const { engine } = this;
      const request = { kind: 'start', engine, threads, database, scratchDir } as const;
      const { value } = await this.ask(request, [], START_DEADLINE_MS);
      this.identity = value as ExecutorReplies['start'];
    } catch (error) {
      this.kill('its engine did not start');
      throw error;
    }
  }

  private async ask(
    request: ExecutorRequest,
    payload: readonly Uint8Array[],
    deadlineMs: number,
  ): Promise<Answer> {
    if (this.endedBecause !== undefined) throw lost(this.endedBecause);
    const id = this.nextId++;
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.expire(id, request.kind, deadlineMs);
      }, deadlineMs);
      this.inFlight.set(id, { resolve, reject, timer, subject: subjectOf(request) });
      this.socket.cork();
      for (const part of encodeFrame({ ...request, id }, payload)) this.socket.write(part);
      this.socket.uncork();
    });
  }

  /** One call can ask for any amount, and nothing inside the process could stop it. */
  private watchMemory(maxBytes: number): NodeJS.Timeout {
    return setInterval(() => {
      if (this.inFlight.size === 0 || this.endedBecause !== undefined) return;
      void residentBytes(this.child.pid ?? 0).then((bytes) => {
        if (bytes > maxBytes) {
          this.kill(`it took ${toMib(bytes)} MiB of memory, ${toMib(maxBytes)} MiB are allowed`);
        }
      });
    }, MEMORY_WATCH_MS).unref();
  }

  private settle(reply: ExecutorReply, payload: Uint8Array): void {
    const request = this.inFlight.get(reply.id);
    // An answer that crossed its own deadline: whoever asked has been told already.
    if (!request) return;
    this.inFlight.delete(reply.id);
    clearTimeout(request.timer);
    if (reply.ok) request.resolve({ value: reply.value, payload });
    else request.reject(fromWireError(reply.error));
  }

  private expire(id: number, kind: ExecutorRequest['kind'], deadlineMs: number): void {
    this.noteUnderWay();
    const late = this.inFlight.get(id);
    this.inFlight.delete(id);
    late?.reject(
      new PredictionDeadlineError(`The executor did not finish within ${deadlineMs} ms`, {
        deadlineMs,
        step: kind,
      }),
    );
    this.kill(`a ${kind} exceeded its deadline of ${deadlineMs} ms`);
  }

  /** Once: whatever is told of the end later has fewer left. */
  private noteUnderWay(): void {
    this.underWay ??= [...this.inFlight.values()].flatMap(({ subject }) => subject ?? []);
  }

  private failAll(reason: string): void {
    this.noteUnderWay();
    for (const { reject, timer } of this.inFlight.values()) {
      clearTimeout(timer);
      reject(lost(reason));
    }
    this.inFlight.clear();
  }
}

function toMib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

function subjectOf(request: ExecutorRequest): string | null {
  if (request.kind === 'predict') return request.key;
  return request.kind === 'load' ? versionKey(request.version) : null;
}

function lost(reason: string): ExecutorLostError {
  return new ExecutorLostError(`The executor was lost: ${reason}; another takes its place`, {
    retryAfterSeconds: 1,
  });
}

/** Rejects when a process ends, or cannot even be started, before it has connected. */
async function failedStart(engine: EngineName, child: ChildProcess): Promise<never> {
  return await new Promise((_, reject) => {
    const fail = (reason: string, cause?: Error): void => {
      reject(
        new EngineUnavailableError(
          `No executor could be started: ${reason}`,
          { engine },
          { cause },
        ),
      );
    };
    child.once('error', (cause) => {
      fail(cause.message, cause);
    });
    child.once('exit', (code, signal) => {
      fail(`its process ended with ${signal ?? `exit code ${code ?? 'unknown'}`}`);
    });
  });
}

/** The service's own, without what belongs to it alone: secrets, debuggers, ports. */
function childEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {
    TF_CPP_MIN_LOG_LEVEL: '2',
    // By itself the C library keeps a heap for each of a dozen threads, and what one of them has
    // freed nobody else gets: executors held twice the memory.
    MALLOC_ARENA_MAX: '2',
    ...process.env,
  };
  delete environment['MONGODB_URI'];
  delete environment['NODE_OPTIONS'];
  return environment;
}

function forwardLines(stream: Readable | null, log: (line: string) => void): void {
  if (stream) createInterface({ input: stream }).on('line', log);
}
