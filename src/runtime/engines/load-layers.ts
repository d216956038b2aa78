import type { io } from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';

import { ModelUnloadableError } from '../runtime.errors';
import { decodeWeight } from './decode-weight';
import { type TfjsApi } from './tfjs-api';
import { type PlacedWeight, type WeightBytes } from './weight-bytes';
import { type WeightMemory } from './weight-memory';

type LayerWeight = LayersModel['weights'][number];
type WeightSpec = WeightBytes['spec'];

/** Builds a layers model whose weights are zeros, to be filled in one by one. */
export async function buildLayers(tf: TfjsApi, topology: io.ModelArtifacts): Promise<LayersModel> {
  return await tf.loadLayersModel({
    load: async () => await Promise.resolve(new WithoutInitializers(topology) as io.ModelArtifacts),
  });
}

/**
 * Artifacts without weights, for which the library still skips initial values.
 *
 * It draws random ones, some by factorising matrices, unless there is weight data when it starts
 * to build; and it wants all weights at once when there is any afterwards. So there is some the
 * first time it looks.
 */
class WithoutInitializers {
  readonly modelTopology: object;
  readonly weightSpecs = [];
  private looks = 0;

  constructor({ modelTopology }: io.ModelArtifacts) {
    // Checked by the inspection of the upload; the library's own check would name no reason.
    this.modelTopology = modelTopology as object;
  }

  get weightData(): ArrayBuffer | undefined {
    return this.looks++ === 0 ? new ArrayBuffer(0) : undefined;
  }
}

/** Puts weights into the layers that they are named after. */
export class LayerWeights {
  private readonly targets: Map<string, LayerWeight>;

  constructor(
    private readonly tf: TfjsApi,
    { weights }: LayersModel,
  ) {
    this.targets = new Map(weights.map((weight) => [weight.originalName, weight]));
  }

  /**
   * The memory of the layer that waits for a weight, where the bytes can stand just as they are
   * stored.
   */
  room(spec: WeightSpec, memory: WeightMemory): Uint8Array | undefined {
    const target = this.targets.get(this.find(spec.name) ?? '');
    if (!target || spec.quantization) return undefined;
    // A constraint changes what is written.
    const { constraint } = target as { readonly constraint: unknown };
    const tensor = target.read();
    const isSame = tensor.dtype === spec.dtype && tensor.shape.join() === spec.shape.join();
    return isSame && !constraint ? memory.bytesOf(tensor) : undefined;
  }

  /** @throws ModelUnloadableError for a weight that no layer waits for */
  put(weight: WeightBytes | PlacedWeight): void {
    const { name } = weight.spec;
    const found = this.find(name);
    const target = found === undefined ? undefined : this.targets.get(found);
    if (found === undefined || !target) {
      throw new ModelUnloadableError(`No layer has a weight ${name}`, { weight: name });
    }
    this.targets.delete(found);
    if (weight.bytes) target.write(decodeWeight(this.tf, weight));
  }

  private find(name: string): string | undefined {
    // Keras since 2.2 puts the cell of a recurrent layer into the name, TensorFlow.js does not.
    return [name, withoutCell(name)].find((candidate) => this.targets.has(candidate));
  }

  /** @throws ModelUnloadableError naming weights that never came */
  assertComplete(): void {
    if (this.targets.size === 0) return;
    const missing = [...this.targets.keys()].slice(0, 10);
    throw new ModelUnloadableError(`Weights are missing: ${missing.join(', ')}`, { missing });
  }
}

/** `lstm/lstm_cell/kernel` as `lstm/kernel`. */
function withoutCell(name: string): string {
  const tokens = name.split('/');
  return [...tokens.slice(0, -2), tokens.at(-1) ?? ''].join('/');
}
