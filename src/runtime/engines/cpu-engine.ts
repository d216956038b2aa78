import '@tensorflow/tfjs-backend-cpu';

import { type Engine } from './engine';
import { splitTfjs } from './split-tfjs';
import { TfjsEngine } from './tfjs-engine';

/** Plain JavaScript: knows every op that TensorFlow.js has, and is slow. The reference for the others. */
export async function openCpuEngine(): Promise<Engine> {
  await splitTfjs.setBackend('cpu');
  await splitTfjs.ready();
  return new TfjsEngine(
    'cpu',
    `TensorFlow.js ${splitTfjs.version_core} in plain JavaScript`,
    splitTfjs,
  );
}
