import { dirname, join, sep } from 'node:path';

import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';

import { EngineUnavailableError } from '../runtime.errors';
import { type Engine } from './engine';
import { splitTfjs } from './split-tfjs';
import { TfjsEngine } from './tfjs-engine';
import { WasmMemory } from './wasm-memory';

/** TensorFlow.js compiled to WebAssembly: one core, and there on every machine that runs Node. */
export async function openWasmEngine(): Promise<Engine> {
  const folder = join(
    dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')),
    'dist',
  );
  setWasmPaths(`${folder}${sep}`);
  // Both have to be over before the first tensor: one made earlier would belong to no backend.
  const started = await splitTfjs.setBackend('wasm');
  await splitTfjs.ready();
  if (!started) throw new EngineUnavailableError('The wasm backend does not start here');
  const simd = await splitTfjs.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  return new TfjsEngine(
    'wasm',
    `TensorFlow.js ${splitTfjs.version_core} on WebAssembly, ${simd === true ? 'with' : 'without'} SIMD`,
    splitTfjs,
    { memory: new WasmMemory(splitTfjs) },
  );
}
