import type { Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { type TensorSpec } from '../../common/tensor';

/** One of the two kinds of model that TensorFlow.js loads, under the names of our signature. */
export interface TfjsProgram {
  readonly inputs: readonly TensorSpec[];
  /** Computes all outputs from all inputs. The caller owns every tensor on both sides. */
  run(inputs: Readonly<Record<string, TfTensor>>): Promise<Readonly<Record<string, TfTensor>>>;
  dispose(): void;
}
