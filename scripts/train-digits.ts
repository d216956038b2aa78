import { dirname } from 'node:path';

import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';

import { type DigitSet } from './digits-data';

/** A network and how it is trained: all that a version's training parameters say. */
export interface Plan {
  readonly hiddenUnits: readonly number[];
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
}

/** A trained model as the files that are uploaded, and how well it did on images it never saw. */
export interface TrainedModel {
  readonly modelJson: string;
  readonly weights: Uint8Array;
  readonly heldOutAccuracy: number;
}

const DIGITS = 10;

/**
 * Trains a dense network on the digits.
 *
 * Weights, order of the images and arithmetic are the same on every run, so that seeding twice
 * gives the same bytes.
 */
export async function trainDigits(
  plan: Plan,
  train: DigitSet,
  heldOut: DigitSet,
  onEpoch: (epoch: number, accuracy: number) => void,
): Promise<TrainedModel> {
  await startBackend();
  const model = build(plan);
  const inputs = toTensor(train);
  const targets = tf.oneHot(tf.tensor1d([...train.digits], 'int32'), DIGITS);
  // Shuffled once, by a seed: the shuffle of `fit` would differ from run to run.
  const order = tf.tensor1d(shuffled(train.digits.length, plan.seed), 'int32');
  await model.fit(tf.gather(inputs, order), tf.gather(targets, order), {
    epochs: plan.epochs,
    batchSize: plan.batchSize,
    shuffle: false,
    callbacks: {
      onEpochEnd: (epoch, logs) => {
        onEpoch(epoch + 1, logs?.['acc'] ?? 0);
      },
    },
  });
  const heldOutAccuracy = accuracyOf(model, heldOut);
  return { ...(await toFiles(model)), heldOutAccuracy };
}

async function startBackend(): Promise<void> {
  setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json'))}/dist/`);
  await tf.setBackend('wasm');
  await tf.ready();
}

function build({ hiddenUnits, learningRate, seed }: Plan): layers.Sequential {
  const model = layers.sequential({ name: 'digits' });
  model.add(layers.layers.inputLayer({ inputShape: [8, 8, 1], name: 'image' }));
  model.add(layers.layers.flatten());
  [...hiddenUnits, DIGITS].forEach((units, index) => {
    const isLast = index === hiddenUnits.length;
    model.add(
      layers.layers.dense({
        units,
        activation: isLast ? 'softmax' : 'relu',
        name: isLast ? 'probabilities' : `hidden_${index + 1}`,
        kernelInitializer: layers.initializers.glorotUniform({ seed: seed + index }),
      }),
    );
  });
  model.compile({
    optimizer: tf.train.adam(learningRate),
    loss: 'categoricalCrossentropy',
    metrics: ['accuracy'],
  });
  return model;
}

function toTensor({ images }: DigitSet): tf.Tensor {
  return tf.tensor(images.flat(), [images.length, 8, 8, 1], 'float32');
}

function accuracyOf(model: layers.LayersModel, { digits, ...set }: DigitSet): number {
  const scores = model.predictOnBatch(toTensor({ digits, ...set })) as tf.Tensor;
  const chosen = tf.argMax(scores, 1).dataSync();
  return digits.filter((digit, index) => chosen[index] === digit).length / digits.length;
}

async function toFiles(
  model: layers.LayersModel,
): Promise<{ readonly modelJson: string; readonly weights: Uint8Array }> {
  let files: { modelJson: string; weights: Uint8Array } | undefined;
  await model.save(
    tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData }) => {
      const modelJson = JSON.stringify({
        format: 'layers-model',
        generatedBy: `TensorFlow.js ${tf.version_core}`,
        convertedBy: null,
        modelTopology,
        weightsManifest: [{ paths: ['weights.bin'], weights: weightSpecs }],
      });
      const data = tf.io.CompositeArrayBuffer.join(weightData ?? new ArrayBuffer(0));
      files = { modelJson, weights: new Uint8Array(data) };
      return await Promise.resolve({
        modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' },
      });
    }),
  );
  if (!files) throw new TypeError('the model was not saved');
  return files;
}

/** 0 to n-1 in an order that the seed decides (mulberry32, Fisher-Yates). */
function shuffled(n: number, seed: number): number[] {
  const order = Array.from({ length: n }, (_, index) => index);
  let state = seed >>> 0;
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let last = n - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other] ?? 0, order[last] ?? 0];
  }
  return order;
}
