import type { io, Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { type NamedTensors, type Tensor, type TensorSpec } from '../../common/tensor';
import { type LoadableVersion } from '../../models/version';
import { GridfsIoHandler } from '../gridfs-io-handler';
import { ModelUnloadableError } from '../runtime.errors';
import { type Engine, type EngineName, type FileSource, type LoadedModel } from './engine';
import { decodeWeight } from './decode-weight';
import { judgeWeights } from './judge-weights';
import { GraphProgram } from './graph-program';
import { LayersProgram } from './layers-program';
import { buildLayers, LayerWeights } from './load-layers';
import { OneAtATime } from './one-at-a-time';
import { splitActivations } from './split-activations';
import { inScope, loadInScope } from './tensor-scope';
import { fromTfTensor, toTfTensor } from './tensor-values';
import { type TfjsApi } from './tfjs-api';
import { asInferenceFailure, asUnloadable } from './tfjs-failure';
import { type TfjsProgram } from './tfjs-program';
import { type PlacedWeight, type WeightBytes, type WeightRooms } from './weight-bytes';
import { type WeightMemory } from './weight-memory';

/** TensorFlow.js with one of its backends, which has to be set and ready already. */
export class TfjsEngine implements Engine {
  private readonly turn = new OneAtATime();

  constructor(
    readonly name: EngineName,
    readonly description: string,
    private readonly tf: TfjsApi,
    private readonly extras: EngineExtras = {},
  ) {}

  async load(version: LoadableVersion, source: FileSource): Promise<LoadedModel> {
    const { loadSavedModel } = this.extras;
    if (version.format === 'tf-saved-model' && loadSavedModel) {
      return await this.loadNative(version, source, loadSavedModel);
    }
    const { artifacts, weights, place } = await new GridfsIoHandler(version, source).open();
    const warnings: string[] = [];
    // What ran before was looked at before, and stored bytes do not change.
    const isProven = Object.keys(version.engines).length > 0;
    const intake: WeightIntake = isProven
      ? { bring: place, memory: this.extras.memory }
      : { bring: () => judgeWeights(weights(), warnings), memory: undefined };
    switch (version.format) {
      case 'tfjs-layers':
        return await this.loadLayers(version, artifacts, intake, warnings);
      case 'tfjs-graph':
        return await this.loadGraph(version, artifacts, intake, warnings);
      case 'tf-saved-model':
      case 'onnx':
      case 'opaque':
        throw new ModelUnloadableError(
          `The ${this.name} engine does not run ${version.format} artifacts`,
          { engine: this.name, format: version.format },
        );
    }
  }

  tensorCount(): number {
    return this.tf.memory().numTensors;
  }

  /** The layers first, with zeros, then each weight into its place. */
  private async loadLayers(
    { signature }: LoadableVersion,
    artifacts: io.ModelArtifacts,
    { bring, memory }: WeightIntake,
    warnings: readonly string[],
  ): Promise<LoadedModel> {
    const { model, disposeRest, bytes } = await this.step(async () => {
      const bytesBefore = this.tf.memory().numBytes;
      const built = await loadInScope(this.tf, async () => await buildLayers(this.tf, artifacts));
      const { loaded, disposeRest } = built;
      return { model: loaded, disposeRest, bytes: this.tf.memory().numBytes - bytesBefore };
    });
    const dispose = (): void => {
      model.dispose();
      disposeRest();
    };
    return await this.orElse(dispose, async () => {
      const targets = new LayerWeights(this.tf, model);
      for await (const weight of bring((spec) => memory && targets.room(spec, memory))) {
        // A turn for each: requests to other models come in between.
        await this.step(async () => {
          await inScope(this.tf, async () => {
            targets.put(weight);
            await Promise.resolve();
          });
        });
      }
      targets.assertComplete();
      const program = new LayersProgram(model, signature);
      return new TfjsModel(this.name, this.tf, this.turn, program, disposeRest, bytes, warnings);
    });
  }

  /** The weights first, then the graph that refers to them. */
  private async loadGraph(
    { signature }: LoadableVersion,
    artifacts: io.ModelArtifacts,
    { bring, memory }: WeightIntake,
    warnings: readonly string[],
  ): Promise<LoadedModel> {
    const tensors: Record<string, TfTensor> = {};
    const disposeTensors = (): void => {
      for (const tensor of Object.values(tensors)) {
        if (!tensor.isDisposed) tensor.dispose();
      }
    };
    return await this.orElse(disposeTensors, async () => {
      let bytes = 0;
      const add = async (name: string, make: () => TfTensor | undefined): Promise<void> => {
        await this.step(async () => {
          const bytesBefore = this.tf.memory().numBytes;
          const tensor = make();
          if (tensor) tensors[name] = tensor;
          bytes += this.tf.memory().numBytes - bytesBefore;
          await Promise.resolve();
        });
      };
      for (const spec of memory ? (artifacts.weightSpecs ?? []) : []) {
        await add(spec.name, () => memory?.allocate(spec));
      }
      const roomOf: WeightRooms = ({ name }) => tensors[name] && memory?.bytesOf(tensors[name]);
      for await (const weight of bring(roomOf)) {
        if (weight.bytes) await add(weight.spec.name, () => decodeWeight(this.tf, weight));
      }
      return await this.step(async () => {
        const { loaded, disposeRest } = await loadInScope(this.tf, async () => {
          const { modelTopology } = artifacts;
          const runnable =
            modelTopology instanceof ArrayBuffer || modelTopology === undefined
              ? artifacts
              : { ...artifacts, modelTopology: splitActivations(modelTopology) };
          const handler = { load: async () => await Promise.resolve(runnable) };
          // The library decodes weights through what it is handed here.
          const io = { ...this.tf.io, decodeWeights: () => tensors };
          const model = new this.tf.GraphModel(handler, {}, io);
          await model.load();
          return new GraphProgram(model, signature);
        });
        const rest = (): void => {
          disposeRest();
          disposeTensors();
        };
        return new TfjsModel(this.name, this.tf, this.turn, loaded, rest, bytes, warnings);
      });
    });
  }

  private async loadNative(
    version: LoadableVersion,
    source: FileSource,
    loadSavedModel: SavedModelLoader,
  ): Promise<LoadedModel> {
    return await this.step(async () => {
      const program = await loadSavedModel(version, source);
      // Its session keeps the weights in memory that the library does not count.
      const { loadedBytes } = version;
      return new TfjsModel(
        this.name,
        this.tf,
        this.turn,
        program,
        () => undefined,
        loadedBytes,
        [],
      );
    });
  }

  /** Tensor work of its own turn; what it throws says why the model cannot be loaded. */
  private async step<T>(work: () => Promise<T>): Promise<T> {
    return await this.turn.run(async () => {
      try {
        return await work();
      } catch (cause) {
        throw asUnloadable(this.name, cause);
      }
    });
  }

  /** Work after whose failure nothing is left of what was made before. */
  private async orElse<T>(dispose: () => void, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await this.turn.run(async () => {
        dispose();
        await Promise.resolve();
      });
      throw error;
    }
  }
}

/** Weights one by one; where they need no look, into rooms of the memory that there is then. */
interface WeightIntake {
  readonly bring: (rooms: WeightRooms) => AsyncIterable<WeightBytes | PlacedWeight>;
  readonly memory: WeightMemory | undefined;
}

export interface EngineExtras {
  /** Loads what the library proper does not: SavedModels, where the native one is. */
  readonly loadSavedModel?: SavedModelLoader;
  /** Where weights can be decoded to; without it they are handed over. */
  readonly memory?: WeightMemory;
}

/** Makes a program of a SavedModel. */
export type SavedModelLoader = (
  version: LoadableVersion,
  source: FileSource,
) => Promise<TfjsProgram>;

class TfjsModel implements LoadedModel {
  readonly inputs: readonly TensorSpec[];

  constructor(
    private readonly engine: EngineName,
    private readonly tf: TfjsApi,
    private readonly turn: OneAtATime,
    private readonly program: TfjsProgram,
    private readonly disposeRest: () => void,
    readonly bytes: number,
    readonly warnings: readonly string[],
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
