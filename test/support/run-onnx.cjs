// A process that runs ONNX models for tests: the native library stays out of the test's own.
const ort = require('onnxruntime-node');

process.on('message', async ({ id, onnx, inputs }) => {
  try {
    const session = await ort.InferenceSession.create(onnx, {
      intraOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    const feeds = {};
    for (const [name, { type, shape, data }] of Object.entries(inputs)) {
      feeds[name] = new ort.Tensor(type, data, shape);
    }
    const results = await session.run(feeds);
    const outputs = {};
    for (const [name, { type, dims, data }] of Object.entries(results)) {
      outputs[name] = { type, shape: [...dims], data };
    }
    await session.release();
    process.send({ id, outputs });
  } catch (error) {
    process.send({ id, error: String(error.message ?? error) });
  }
});
process.on('disconnect', () => process.exit(0));
