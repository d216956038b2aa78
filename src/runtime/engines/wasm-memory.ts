import type { io, Tensor as TfTensor } from '@tensorflow/tfjs-core';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';

import { type TfjsApi } from './tfjs-api';
import { type WeightMemory } from './weight-memory';

type WeightSpec = io.WeightsManifestEntry;

/** The heap of the wasm backend, in which numbers lie as they are stored: little-endian, unpadded. */
export class WasmMemory implements WeightMemory {
  constructor(private readonly tf: TfjsApi) {}

  bytesOf(tensor: TfTensor): Uint8Array | undefined {
    if (!isNumeric(tensor.dtype) || tensor.size === 0) return undefined;
    const { buffer, byteOffset, byteLength } = this.backend().typedArrayFromHeap(tensor);
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  allocate({ shape, dtype, quantization }: WeightSpec): TfTensor | undefined {
    if (quantization || !isNumeric(dtype)) return undefined;
    const output = this.backend().makeOutput(shape, dtype);
    return this.tf.engine().makeTensorFromTensorInfo(output);
  }

  private backend(): BackendWasm {
    return this.tf.engine().backend as BackendWasm;
  }
}

function isNumeric(dtype: string): dtype is 'float32' | 'int32' | 'bool' {
  return dtype === 'float32' || dtype === 'int32' || dtype === 'bool';
}
