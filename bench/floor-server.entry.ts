import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

import { openOnnxEngine } from '../src/runtime/engines/onnx-engine';
import { weightsOf } from './bench-models';
import { HeldFiles, versionOf } from './held-version';
import { loadPlainModel, type PlainModel, type Rows, startEngine } from './plain-model';
import { type LoopRequest, servedModel, SILENT } from './served-models';

const WARM_UP_CALLS = 200;

/**
 * The floors of predict.bench.ts: a bare HTTP server that computes in its own process, or, asked to
 * be silent, reads the body and answers nothing. Told by message, it calls the engine in a loop.
 */
async function main(): Promise<void> {
  // However the bench ends, this ends with it.
  process.once('disconnect', () => process.exit());
  const [name = SILENT, engine = 'wasm'] = process.argv.slice(2);
  const model = name === SILENT ? null : await loadServed(name, engine);
  const server = createServer((request, response) => {
    void buffer(request).then(async (body) => {
      response.setHeader('Content-Type', 'application/json');
      if (!model) {
        response.end('{}');
        return;
      }
      const { instances } = JSON.parse(body.toString()) as { instances: Rows };
      response.end(JSON.stringify({ predictions: Array.from(await model.predict(instances)) }));
    });
  });
  process.on('message', ({ row, loopMs }: LoopRequest) => {
    if (model) void callsPerSecond(model, row, loopMs).then((figure) => process.send?.(figure));
  });
  server.listen(0, '127.0.0.1', () => {
    process.send?.((server.address() as AddressInfo).port);
  });
}

type ServedRows = Pick<PlainModel, 'predict'>;

async function loadServed(name: string, engine: string): Promise<ServedRows> {
  const served = servedModel(name);
  if (!served) throw new TypeError(`${name} is not here`);
  if (engine === 'onnx') return await loadCompiled(name, served.files);
  await startEngine();
  return await loadPlainModel(served.files['model.json']!, weightsOf(served.files));
}

/** The compiled form in this process: one thread a call, and calls side by side as they come. */
async function loadCompiled(
  name: string,
  files: ConstructorParameters<typeof HeldFiles>[0],
): Promise<ServedRows> {
  const runtime = await openOnnxEngine(1);
  const version = versionOf(name, files ?? {});
  const model = await runtime.load(version, new HeldFiles(files));
  const [input] = version.signature.inputs;
  const [, ...rowShape] = input?.shape ?? [];
  const rowSize = rowShape.reduce((product, size) => product * size, 1);
  return {
    predict: async (rows) => {
      const values = new Float32Array(rows.length * rowSize);
      fill(values, rows, 0);
      const data = new Uint8Array(values.buffer);
      const shape = [rows.length, ...rowShape];
      const outputs = await model.predict({
        [input?.name ?? '']: { dtype: 'float32', shape, data },
      });
      const { buffer: bytes, byteOffset, byteLength } = Object.values(outputs)[0]!.data;
      return new Float32Array(bytes, byteOffset, byteLength / 4);
    },
  };
}

/** Lays nested numbers out one behind the other. @returns where the next one goes */
function fill(values: Float32Array, rows: Rows, start: number): number {
  let at = start;
  for (const row of rows) {
    if (typeof row === 'number') values[at++] = row;
    else at = fill(values, row as Rows, at);
  }
  return at;
}

async function callsPerSecond(model: ServedRows, row: unknown, loopMs: number): Promise<number> {
  for (let call = 0; call < WARM_UP_CALLS; call++) await model.predict([row]);
  let calls = 0;
  const start = performance.now();
  while (performance.now() - start < loopMs) {
    await model.predict([row]);
    calls++;
  }
  return calls / ((performance.now() - start) / 1000);
}

void main();
