import type { Tensor as TfTensor } from '@tensorflow/tfjs-core';

import { TensorMismatchError } from '../runtime.errors';

/** The part of the native backend that hands tensors to a SavedModel. */
export interface NativeBackend {
  readonly binding: {
    readonly TF_INT64: number;
    createTensor(shape: readonly number[], dtype: number, values: Int32Array): number;
  };
  getMappedInputTensorIds(
    inputs: readonly TfTensor[],
    infos: readonly (InputInfo | null)[],
  ): MappedInputs;
}

interface InputInfo {
  readonly tfDtype: string;
}

/** The library's own ids of the inputs, and which of them it deletes after the call. */
interface MappedInputs {
  readonly tensorIds: number[];
  readonly newTensors: number[];
}

/**
 * Mends how tfjs-node turns our 32-bit integers into the types that a SavedModel asks for.
 *
 * To 64 bits it leaves out the sign: -1 would arrive as 4294967295. To 8 bits it drops the rest:
 * 256 would arrive as 0. Here the one keeps its sign and the other is refused.
 */
export function mendNativeInputs(backend: NativeBackend): void {
  const original = backend.getMappedInputTensorIds.bind(backend);
  backend.getMappedInputTensorIds = (inputs, infos) => {
    for (const [index, info] of infos.entries()) {
      if (info?.tfDtype === 'DT_UINT8') assertBytes(inputs[index]);
    }
    const isWide = infos.map((info) => info?.tfDtype === 'DT_INT64');
    const mapped = original(
      inputs,
      infos.map((info, index) => (isWide[index] === true ? null : info)),
    );
    for (const [index, tensor] of inputs.entries()) {
      if (isWide[index] !== true) continue;
      const { binding } = backend;
      mapped.tensorIds[index] = binding.createTensor(tensor.shape, binding.TF_INT64, widen(tensor));
      mapped.newTensors.push(index);
    }
    return mapped;
  };
}

/** Each number as two halves, the lower first, as the machine has them. */
function widen(tensor: TfTensor): Int32Array {
  const values = tensor.dataSync();
  const halves = new Int32Array(values.length * 2);
  values.forEach((value: number, index: number) => {
    halves[index * 2] = value;
    halves[index * 2 + 1] = value < 0 ? -1 : 0;
  });
  return halves;
}

function assertBytes(tensor: TfTensor | undefined): void {
  const wrong = [...(tensor?.dataSync() ?? [])].find((value) => value < 0 || value > 255);
  if (wrong === undefined) return;
  throw new TensorMismatchError(`An input of bytes was given ${wrong}; 0 to 255 fit`);
}
