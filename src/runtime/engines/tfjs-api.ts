import type * as core from '@tensorflow/tfjs-core';
import type { GraphModel } from '@tensorflow/tfjs-converter';
import type { loadLayersModel } from '@tensorflow/tfjs-layers';

/**
 * The part of TensorFlow.js that the engines use.
 *
 * Handed in rather than imported: tfjs-node brings a copy of the library of its own, and tensors
 * of one copy mean nothing to another.
 */
export type TfjsApi = Pick<
  typeof core,
  'engine' | 'env' | 'io' | 'memory' | 'ready' | 'setBackend' | 'tensor' | 'version_core'
> & {
  readonly loadLayersModel: typeof loadLayersModel;
  readonly GraphModel: typeof GraphModel;
};
