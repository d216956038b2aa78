// A process that owns an executor until it is killed. Prints the executor's pid once that is
// ready, or, given the folder of a model that computes without end, once it is computing.
const { readFileSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const { Executor } = require('../../dist/src/runtime/executor.js');

async function main() {
  const [folder] = process.argv.slice(2);
  const read = ({ path }) =>
    Promise.resolve(Uint8Array.from(readFileSync(join(folder, path))).buffer);
  const executor = await Executor.start({ engine: 'cpu', files: { read }, log: () => {} });
  if (folder !== undefined) {
    const files = readdirSync(folder).map((path) => ({ path, ref: { segments: [] } }));
    const version = {
      model: 'endless',
      version: 1,
      format: 'tfjs-graph',
      entry: 'model.json',
      signature: { inputs: [], outputs: [] },
      files,
      engines: {},
    };
    await executor.load(version, 60_000);
    const x = { dtype: 'float32', shape: [1], data: new Uint8Array(4) };
    executor.predict(version, { x }, 60_000).catch(() => {});
    // Once this is unanswered for a while, the computation has the process to itself.
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  console.log(executor.pid);
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
