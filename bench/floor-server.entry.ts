import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

import { weightsOf } from './bench-models';
import { loadPlainModel, type PlainModel, type Rows, startEngine } from './plain-model';
import { type LoopRequest, servedModel, SILENT } from './served-models';

const WARM_UP_CALLS = 200;

/**
 * The floors of predict.bench.ts: a bare HTTP server that computes on its own thread, or, asked to
 * be silent, reads the body and answers nothing. Told by message, it calls the engine in a loop.
 */
async function main(): Promise<void> {
  // However the bench ends, this ends with it.
  process.once('disconnect', () => process.exit());
  const name = process.argv[2] ?? SILENT;
  const model = name === SILENT ? null : await loadServed(name);
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

async function loadServed(name: string): Promise<PlainModel> {
  const served = servedModel(name);
  if (!served) throw new TypeError(`${name} is not here`);
  await startEngine();
  return await loadPlainModel(served.files['model.json']!, weightsOf(served.files));
}

async function callsPerSecond(model: PlainModel, row: unknown, loopMs: number): Promise<number> {
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
