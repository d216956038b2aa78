import type { io, Tensor as TfTensor } from '@tensorflow/tfjs-core';

type WeightSpec = io.WeightsManifestEntry;

/**
 * The memory of a backend, for weights that are decoded straight into it.
 *
 * What `bytesOf` gives is a view of that memory as it is now: any other call of the library can
 * move it, so a view is used at once and never kept.
 */
export interface WeightMemory {
  /** The bytes of a tensor of numbers; undefined where it has none of its own there. */
  bytesOf(tensor: TfTensor): Uint8Array | undefined;
  /** A tensor with anything in it, for a weight that can stand there just as it is stored. */
  allocate(spec: WeightSpec): TfTensor | undefined;
}
