// A plain program that keeps its models in the store through `gridstow/io`, with its own
// TensorFlow.js. Prints one JSON line. Arguments: database address, database name, the package
// that brings TensorFlow.js (`@tensorflow/tfjs`, or `split` for the separate packages).
import { gridfs, registerGridFS } from 'gridstow/io';
import { MongoClient } from 'mongodb';

const [uri, name, brought] = process.argv.slice(2);
const tf = await bring(brought);

const client = new MongoClient(uri);
registerGridFS(client, { db: name });
// A second registration replaces the first; two routers for one URL would be an error.
registerGridFS(client, { db: name, metadata: { metrics: { accuracy: 0.5 } } });

const input = tf.tensor2d([[0.1, 0.2, 0.3]]);
const model = tf.sequential({
  layers: [
    tf.layers.dense({ units: 4, inputShape: [3], activation: 'relu' }),
    tf.layers.dense({ units: 2, activation: 'softmax' }),
  ],
});
model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });

const first = await model.save('gridfs://made-here');
const again = await model.save('gridfs://made-here');
const live = await tf.loadLayersModel('gridfs://made-here@live');

// A target on one side moves the biases, whatever the random start was.
await model.fit(
  tf.ones([2, 3]),
  tf.tensor2d([
    [1, 0],
    [1, 0],
  ]),
  { epochs: 2, verbose: 0 },
);
const second = await model.save('gridfs://made-here');
const stillLive = await tf.loadLayersModel('gridfs://made-here');
const trained = await tf.loadLayersModel('gridfs://made-here/2');
const handled = await tf.loadLayersModel(gridfs(client.db(name), 'made-here/2'));

const third = await model.save('gridfs://made-here@canary');
const canary = await tf.loadLayersModel(gridfs(client.db(name), 'models:/made-here@canary'));

const refused = {};
for (const url of ['gridfs://', 'gridfs://no-such', 'gridfs://made-here/99', 'gridfs://a b']) {
  refused[url] = await tf.loadLayersModel(url).then(
    () => 'loaded',
    (error) => error.message,
  );
}
refused.saveVersion = await model.save('gridfs://made-here/7').catch((error) => error.message);

console.log(
  JSON.stringify({
    saved: [first, again, second, third].map(({ version, created }) => ({ version, created })),
    bytes: first.modelArtifactsInfo.weightDataBytes,
    live: distance(live, stillLive),
    trained: distance(trained, model),
    handled: distance(handled, model),
    moved: distance(stillLive, model) > 0,
    canary: distance(canary, model),
    refused,
  }),
);
await client.close();

/** How far two models' answers are apart. */
function distance(one, other) {
  return tf.max(tf.abs(tf.sub(one.predict(input), other.predict(input)))).dataSync()[0];
}

async function bring(name) {
  if (name !== 'split') return (await import(name)).default;
  await import('@tensorflow/tfjs-backend-cpu');
  const core = await import('@tensorflow/tfjs-core');
  const layers = await import('@tensorflow/tfjs-layers');
  return { ...core.default, ...layers.default };
}
