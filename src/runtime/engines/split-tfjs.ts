import { GraphModel } from '@tensorflow/tfjs-converter';
import * as core from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';

import { type TfjsApi } from './tfjs-api';

/** TensorFlow.js from its separate packages, which the wasm and cpu engines share. */
export const splitTfjs: TfjsApi = {
  engine: core.engine,
  env: core.env,
  io: core.io,
  memory: core.memory,
  ready: core.ready,
  setBackend: core.setBackend,
  tensor: core.tensor,
  version_core: core.version_core,
  loadLayersModel,
  GraphModel,
};
