import type { GraphModel } from '@tensorflow/tfjs-converter';
import type { ModelTensorInfo, Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { type Signature, type TensorSpec } from '../../common/tensor';
import { graphEndpoints, type NamedNode, plainName } from '../compile/model-names';
import { TensorMismatchError } from '../runtime.errors';
import { specDType } from './spec-dtype';
import { type TfjsProgram } from './tfjs-program';

/** What the library says when a graph has ops whose results decide what runs next. */
const NEEDS_ASYNC = 'executeAsync() instead';

/**
 * A converted TensorFlow graph: fed by name.
 *
 * Graphs with control flow run step by step, which is slower, so each graph is tried as a whole
 * first; the refusal comes before anything was computed and is remembered.
 */
export class GraphProgram implements TfjsProgram {
  readonly inputs: readonly TensorSpec[];
  private readonly from: readonly NamedNode[];
  private readonly to: readonly NamedNode[];
  private stepwise = false;

  constructor(
    private readonly model: GraphModel,
    wanted: Signature,
  ) {
    const own = model.modelSignature as { inputs?: Endpoints; outputs?: Endpoints } | undefined;
    this.from = graphEndpoints(wanted.inputs, names(model.inputs), own?.inputs);
    this.to = graphEndpoints(wanted.outputs, names(model.outputs), own?.outputs);
    this.inputs = specs(this.from, model.inputs);
  }

  async run(inputs: Readonly<Record<string, TfTensor>>): Promise<Record<string, TfTensor>> {
    const feed: Record<string, TfTensor> = {};
    for (const { name, node } of this.from) {
      const tensor = inputs[name];
      if (!tensor) throw new TensorMismatchError(`Input ${name} is missing`);
      feed[node] = tensor;
    }
    const nodes = this.to.map(({ node }) => node);
    const result = await this.execute(feed, nodes);
    const tensors = Array.isArray(result) ? result : [result];
    return Object.fromEntries(
      this.to.flatMap(({ name }, index) => {
        const tensor = tensors[index];
        return tensor ? [[name, tensor] as const] : [];
      }),
    );
  }

  dispose(): void {
    this.model.dispose();
  }

  private async execute(
    feed: Record<string, TfTensor>,
    nodes: string[],
  ): Promise<TfTensor | TfTensor[]> {
    if (!this.stepwise) {
      try {
        return this.model.execute(feed, nodes);
      } catch (error) {
        if (!(error instanceof Error && error.message.includes(NEEDS_ASYNC))) throw error;
        this.stepwise = true;
      }
    }
    return await this.model.executeAsync(feed, nodes);
  }
}

type Endpoints = Readonly<Record<string, ModelTensorInfo>>;

function names(nodes: readonly { readonly name: string }[]): string[] {
  return nodes.map(({ name }) => name);
}

function specs(
  ends: readonly NamedNode[],
  nodes: readonly { name: string; dtype: string; shape?: number[] }[],
): TensorSpec[] {
  return ends.flatMap(({ name, node }) => {
    const found = nodes.find((candidate) => plainName(candidate.name) === plainName(node));
    if (!found?.shape || !found.dtype) return [];
    return [{ name, dtype: specDType(found.dtype), shape: found.shape }];
  });
}
