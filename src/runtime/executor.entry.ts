import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';

import { entryPath } from '../common/entry-path';
import { type Engine, type FileSource } from './engines/engine';
import { ExecutorHost, SentFiles } from './executor-host';
import {
  decodeTensors,
  encodeTensors,
  type ExecutorReply,
  type ExecutorRequest,
  type Numbered,
  toWireError,
} from './executor-protocol';
import { encodeFrame, FrameDecoder } from './framing';
import { EngineUnavailableError } from './runtime.errors';
import { fromWireVersion, VersionFilesStore } from './version-files.store';

// An executor: one engine in a process of its own, at the other end of the socket named on the
// command line. The socket is its life: when it closes, whoever asked is gone.

type StartRequest = Extract<ExecutorRequest, { readonly kind: 'start' }>;

interface Started {
  readonly host: ExecutorHost;
  readonly files: FileSource | null;
}
let started: Started | undefined;

/** Answers a request with the value of its reply and the parts of the payload behind it. */
async function answer(
  request: ExecutorRequest,
  payload: Uint8Array,
): Promise<{ value: unknown; payload?: readonly Uint8Array[] }> {
  if (request.kind === 'start') {
    const engine = await openEngine(request);
    const files = request.database ? new VersionFilesStore(request.database) : null;
    started = { host: new ExecutorHost(engine), files };
    return { value: { description: engine.description, pid: process.pid } };
  }
  if (!started) throw new EngineUnavailableError('The engine has not been started');
  const { host, files } = started;
  switch (request.kind) {
    case 'load': {
      const version = fromWireVersion(request.version);
      const source = files ?? new SentFiles(version.files, request.fileBytes ?? [], payload);
      const { reply, form } = await host.load(version, source);
      return { value: reply, ...(form ? { payload: [form] } : {}) };
    }
    case 'predict': {
      const inputs = decodeTensors(request.tensors, payload);
      const { outputs, ...measured } = await host.predict(request.key, inputs);
      const encoded = encodeTensors(outputs);
      return { value: { tensors: encoded.headers, ...measured }, payload: encoded.payload };
    }
    case 'unload':
      await host.unload(request.key);
      return { value: {} };
    case 'stats':
      return { value: host.stats() };
  }
}

/** Engines are imported only when asked for: each brings a library of many megabytes. */
async function openEngine({ engine, threads, scratchDir }: StartRequest): Promise<Engine> {
  switch (engine) {
    case 'onnx':
      return await (await import('./engines/onnx-engine.js')).openOnnxEngine(threads);
    case 'wasm':
      return await (await import('./engines/wasm-engine.js')).openWasmEngine();
    case 'node':
      return await (await import('./engines/node-engine.js')).openNodeEngine(scratchDir);
    case 'cpu':
      return await (await import('./engines/cpu-engine.js')).openCpuEngine();
  }
}

function send(socket: Socket, reply: ExecutorReply, payload: readonly Uint8Array[] = []): void {
  socket.cork();
  for (const part of encodeFrame(reply, payload)) socket.write(part);
  socket.uncork();
}

function serve(socket: Socket): void {
  const decoder = new FrameDecoder();
  socket.on('data', (piece) => {
    for (const { header, payload } of decoder.push(piece)) {
      const request = header as Numbered<ExecutorRequest>;
      const { id } = request;
      answer(request, payload).then(
        (reply) => {
          send(socket, { id, ok: true, value: reply.value }, reply.payload);
        },
        (error: unknown) => {
          send(socket, { id, ok: false, error: toWireError(error) });
        },
      );
    }
  });
  const exit = (): void => {
    process.exit(0);
  };
  socket.on('error', exit);
  socket.on('close', exit);
}

// Ctrl-C reaches every process of a terminal, yet what is under way here has to be answered first.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
// An op that computes without end never lets the socket's close be noticed; a thread does.
new Worker(entryPath(__dirname, 'orphan-watch.entry'), { workerData: process.ppid }).unref();
serve(connect(process.argv[2] ?? ''));
