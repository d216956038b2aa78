// Opens a model from standard input as the engine does, and says whether a call answers at once.
const { buffer } = require('node:stream/consumers');

const { openSession, requireOnnxRuntime } = require('../../dist/src/runtime/engines/onnx-runtime');

void (async () => {
  const runtime = requireOnnxRuntime();
  const model = new Uint8Array(await buffer(process.stdin));
  const session = await openSession(runtime, model, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 3,
    extra: {},
  });
  const feeds = { x: new runtime.Tensor('float32', new Float32Array([1, 2]), [1, 2]) };
  const answer = session.run(feeds);
  const isAtOnce = !(answer instanceof Promise);
  const { y } = await answer;
  await session.release();
  process.stdout.write(JSON.stringify({ isAtOnce, y: [...y.data], ...session }));
})();
