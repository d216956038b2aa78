import type { io, Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { type NamedTensors, type Tensor, type TensorSpec } from '../../common/tensor';
import { type LoadableVersion } from '../../models/version';
import { GridfsIoHandler } from '../gridfs-io-handler';
import { ModelUnloadableError } from '../runtime.errors';
import { type Engine, type EngineName, type FileSource, type LoadedModel } from './engine';
import { GraphProgram } from './graph-program';
import { LayersProgram } from './layers-program';
import { OneAtATime } from './one-at-a-time';
import { inScope, loadInScope } from './tensor-scope';
import { fromTfTensor, toTfTensor } from './tensor-values';
import { type TfjsApi } from './tfjs-api';
import { asInferenceFailure, asUnloadable } from './tfjs-failure';
import { type TfjsProgram } from './tfjs-program';

/** TensorFlow.js with one of its backends, which has to be set and ready already. */
export class TfjsEngine implements Engine {
  private readonly turn = new OneAtATime();

  constructor(
    readonly name: EngineName,
    readonly description: string,
    private readonly tf: TfjsApi,
  ) {}

  async load(version: LoadableVersion, source: FileSource): Promise<LoadedModel> {
    const handler = new GridfsIoHandler(version, source);
    const artifacts = await handler.load();
    return await this.turn.run(async () => {
      const bytesBefore = this.tf.memory().numBytes;
      try {
        const { loaded, disposeRest } = await loadInScope(
          this.tf,
          async () => await this.openProgram(version, artifacts),
        );
        const bytes = this.tf.memory().numBytes - bytesBefore;
        return new TfjsModel(this.name, this.tf, this.turn, loaded, disposeRest, bytes);
      } catch (cause) {
        throw asUnloadable(this.name, cause);
      }
    });
  }

  tensorCount(): number {
    return this.tf.memory().numTensors;
  }

  private async openProgram(
    { format, signature }: LoadableVersion,
    artifacts: io.ModelArtifacts,
  ): Promise<TfjsProgram> {
    // A training configuration would build an optimizer whose tensors outlive the model.
    delete artifacts.trainingConfig;
    const handler: io.IOHandler = { load: async () => await Promise.resolve(artifacts) };
    switch (format) {
      case 'tfjs-layers':
        return new LayersProgram(await this.tf.loadLayersModel(handler), signature);
      case 'tfjs-graph':
        return new GraphProgram(await this.tf.loadGraphModel(handler), signature);
      case 'tf-saved-model':
      case 'onnx':
      case 'opaque':
        throw new ModelUnloadableError(`The ${this.name} engine does not run ${format} artifacts`, {
          engine: this.name,
          format,
        });
    }
  }
}

class TfjsModel implements LoadedModel {
  readonly inputs: readonly TensorSpec[];

  constructor(
    private readonly engine: EngineName,
    private readonly tf: TfjsApi,
    private readonly turn: OneAtATime,
    private readonly program: TfjsProgram,
    private readonly disposeRest: () => void,
    readonly bytes: number,
  ) {
    this.inputs = program.inputs;
  }

  async predict(inputs: NamedTensors): Promise<NamedTensors> {
    return await this.turn.run(async () => {
      try {
        return await inScope(this.tf, async () => await this.compute(inputs));
      } catch (cause) {
        throw asInferenceFailure(this.engine, cause);
      }
    });
  }

  async dispose(): Promise<void> {
    await this.turn.run(async () => {
      this.program.dispose();
      this.disposeRest();
      await Promise.resolve();
    });
  }

  private async compute(inputs: NamedTensors): Promise<NamedTensors> {
    const feed: Record<string, TfTensor> = {};
    for (const [name, tensor] of Object.entries(inputs)) feed[name] = toTfTensor(this.tf, tensor);
    const outputs: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(await this.program.run(feed))) {
      outputs[name] = await fromTfTensor(name, tensor);
    }
    return outputs;
  }
}
