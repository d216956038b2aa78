import { type FaultLog, quoted } from '../fault-log';
import { weightShapeFault } from '../tensor-shape';
import { type SparseTensor, type StoredTensor } from './onnx-model';
import { elementsIn, ONNX_TYPES } from './onnx-types';

/** What sparse tensors of a model may have as dense ones, which they become when it is opened. */
const MAX_DENSE_BYTES = 2 ** 31;

/**
 * Checks tensors of a file: where their numbers are, and that there are as many as their dimensions
 * say. A path to another file is never followed, whatever file it names.
 */
export class TensorCheck {
  private denseBytes = 0;

  constructor(
    private readonly path: string,
    private readonly faults: FaultLog,
  ) {}

  dense(tensor: StoredTensor, owner: string): void {
    const fault = this.faultOf(tensor);
    if (fault !== null) this.faults.add(this.path, `${titleOf(tensor, owner)} ${fault}`);
  }

  sparse({ values, indices, dims }: SparseTensor, owner: string): void {
    for (const tensor of [values, indices]) {
      if (tensor) this.dense(tensor, owner);
      else this.faults.add(this.path, `a sparse tensor ${owner} has no values or no indices`);
    }
    const shape = weightShapeFault(dims);
    if (shape !== undefined) this.faults.add(this.path, `a sparse tensor ${owner}: ${shape}`);
    const { bits = 64 } = ONNX_TYPES.get(values?.type ?? 0) ?? {};
    this.denseBytes += (product(dims) * (bits || 64)) / 8;
    if (this.denseBytes > MAX_DENSE_BYTES) {
      this.faults.add(
        this.path,
        `a sparse tensor ${owner} would take more than ${MAX_DENSE_BYTES} bytes once it is opened`,
      );
    }
  }

  private faultOf({ type, dims, rawBytes, counts, isExternal }: StoredTensor): string | null {
    if (isExternal) {
      return 'keeps its numbers in another file, which is never read here; save the model as one file, e.g. onnx.save_model(model, path) or torch.onnx.export(…, external_data=False)';
    }
    const known = ONNX_TYPES.get(type);
    if (!known) return `is of the ONNX type ${type}, which is not known here`;
    const shape = weightShapeFault(dims);
    if (shape !== undefined) return `has impossible dimensions: ${shape}`;
    const elements = product(dims);
    if (rawBytes !== null) {
      if (known.bits === 0) return 'holds texts as raw bytes';
      if (counts.size > 0) return 'has its numbers twice';
      const bytes = Math.ceil((elements * known.bits) / 8);
      return rawBytes === bytes
        ? null
        : `holds ${rawBytes} bytes, its dimensions [${dims.join(', ')}] ask for ${bytes}`;
    }
    if ([...counts.keys()].some((field) => field !== known.field)) {
      return `is of the type ${known.name} and holds numbers of another`;
    }
    const found = elementsIn(known.field, counts.get(known.field) ?? 0);
    const wanted = known.bits === 4 ? Math.ceil(elements / 2) : elements;
    return found === wanted
      ? null
      : `holds ${found} elements, its dimensions [${dims.join(', ')}] ask for ${wanted}`;
  }
}

function titleOf({ name }: StoredTensor, owner: string): string {
  return name === '' ? `a tensor ${owner}` : `the tensor ${quoted(name)} ${owner}`;
}

function product(dims: readonly number[]): number {
  return dims.reduce((all, dimension) => all * dimension, 1);
}
