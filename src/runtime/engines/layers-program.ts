import type { Tensor as TfTensor } from '@tensorflow/tfjs-core';
import type { LayersModel, SymbolicTensor } from '@tensorflow/tfjs-layers';

import { type Signature, type TensorSpec } from '../../common/tensor';
import { orderNames } from '../compile/model-names';
import { TensorMismatchError } from '../runtime.errors';
import { specDType } from './spec-dtype';
import { type TfjsProgram } from './tfjs-program';

/** A Keras-style model: fed by position, so names are put in its order here. */
export class LayersProgram implements TfjsProgram {
  readonly inputs: readonly TensorSpec[];
  private readonly inputOrder: readonly string[];
  private readonly outputOrder: readonly string[];

  constructor(
    private readonly model: LayersModel,
    wanted: Signature,
  ) {
    this.inputOrder = orderNames('input', layerNames(model.inputs), wanted.inputs);
    this.outputOrder = orderNames('output', layerNames(model.outputs), wanted.outputs);
    this.inputs = this.inputOrder.flatMap((name, index) => {
      const input = model.inputs[index];
      if (!input) return [];
      const shape = input.shape.map((dimension) => dimension ?? -1);
      return [{ name, dtype: specDType(input.dtype), shape }];
    });
  }

  async run(inputs: Readonly<Record<string, TfTensor>>): Promise<Record<string, TfTensor>> {
    const feed = this.inputOrder.map((name) => {
      const tensor = inputs[name];
      if (!tensor) throw new TensorMismatchError(`Input ${name} is missing`);
      return tensor;
    });
    // Requests are unrelated: what a stateful layer remembers of the last one must not leak into this.
    if (this.model.stateful) this.model.resetStates();
    const [only] = feed;
    // `predict` would split at 32 rows and compute each piece by itself.
    const result = this.model.predictOnBatch(feed.length === 1 && only ? only : feed);
    const tensors = Array.isArray(result) ? result : [result];
    const named = this.outputOrder.flatMap((name, index) => {
      const tensor = tensors[index];
      return tensor ? [[name, tensor] as const] : [];
    });
    return await Promise.resolve(Object.fromEntries(named));
  }

  dispose(): void {
    this.model.dispose();
  }
}

/** The model's own lists of names stay empty until a sequential model has run once. */
function layerNames(tensors: readonly SymbolicTensor[]): string[] {
  return tensors.map(({ sourceLayer }) => sourceLayer.name);
}
