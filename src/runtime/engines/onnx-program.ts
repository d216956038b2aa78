import {
  type NamedTensors,
  type Signature,
  type Tensor,
  type TensorSpec,
} from '../../common/tensor';
import { servedName } from '../../formats/onnx/served-name';
import { InferenceFailedError, ModelUnloadableError, TensorMismatchError } from '../runtime.errors';
import { type CompiledAtLoad, type LoadedModel } from './engine';
import { firstLine, type OnnxSession, type OnnxTensor } from './onnx-runtime';
import { fromOnnxTensor, rowOf, rowsAs, stackRows, toOnnxTensor } from './onnx-tensors';

export interface OnnxEndpoints {
  readonly inputs: readonly (TensorSpec & {
    readonly onnxName: string;
    /** As which the graph takes the rows of this input, where it is not their own shape. */
    readonly fedShape?: readonly number[];
  })[];
  readonly outputs: readonly { readonly name: string; readonly onnxName: string }[];
  /** Whether a batch is computed row by row, because the graph itself takes one row. */
  readonly isRowwise: boolean;
}

/**
 * How the names of a signature stand in an uploaded graph.
 *
 * @throws ModelUnloadableError when the graph has other inputs than its inspection found
 */
export function endpointsOf(session: OnnxSession, signature: Signature): OnnxEndpoints {
  const inputs = session.inputNames.map((onnxName) => {
    const spec = signature.inputs.find(({ name }) => name === servedName(onnxName));
    if (!spec) throw new ModelUnloadableError(`The signature lacks the input ${onnxName}`);
    return { ...spec, onnxName };
  });
  const shapes = new Map(session.inputMetadata.map(({ name, shape }) => [name, shape]));
  return {
    inputs,
    outputs: session.outputNames.map((onnxName) => ({ name: servedName(onnxName), onnxName })),
    isRowwise: inputs.every(
      ({ onnxName, shape }) => shape[0] === -1 && shapes.get(onnxName)?.[0] === 1,
    ),
  };
}

/** A graph in a session of ONNX Runtime. */
export class OnnxModel implements LoadedModel {
  readonly inputs: readonly TensorSpec[];
  /** Of compiled models the reference, which runs before, has looked at the weights. */
  readonly warnings = [];

  constructor(
    private readonly session: OnnxSession,
    private readonly endpoints: OnnxEndpoints,
    readonly bytes: number,
    private readonly released: () => void,
    readonly compiled?: CompiledAtLoad,
  ) {
    this.inputs = endpoints.inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  }

  async predict(inputs: NamedTensors): Promise<NamedTensors> {
    const rows = this.endpoints.isRowwise ? rowsOf(inputs) : 1;
    if (rows === 1) {
      const outputs = this.run(inputs);
      return outputs instanceof Promise ? await outputs : outputs;
    }
    const answers: NamedTensors[] = [];
    for (let row = 0; row < rows; row++) {
      const own = Object.entries(inputs).map(([name, tensor]) => [name, rowOf(tensor, row)]);
      answers.push(await this.run(Object.fromEntries(own) as NamedTensors));
    }
    return Object.fromEntries(
      this.endpoints.outputs.map(({ name }) => [
        name,
        stackRows(
          name,
          answers.flatMap((answer) => answer[name] ?? []),
        ),
      ]),
    );
  }

  async dispose(): Promise<void> {
    await this.session.release();
    this.released();
  }

  /** At once where the session answers at once: for small models each turn of a promise counts. */
  private run(inputs: NamedTensors): NamedTensors | Promise<NamedTensors> {
    const feeds: Record<string, OnnxTensor> = {};
    for (const { name, onnxName, shape, fedShape } of this.endpoints.inputs) {
      const tensor = inputs[name];
      if (!tensor) throw new TensorMismatchError(`Input ${name} is missing`);
      const fed = fedShape ? rowsAs(fedShape, name, tensor, shape) : tensor;
      feeds[onnxName] = toOnnxTensor(this.session, fed);
    }
    let results: ReturnType<OnnxSession['run']>;
    try {
      results = this.session.run(feeds);
    } catch (cause) {
      throw inferenceFailure(cause);
    }
    if (!(results instanceof Promise)) return this.outputsOf(results);
    return results.then(
      (given) => this.outputsOf(given),
      (cause: unknown) => {
        throw inferenceFailure(cause);
      },
    );
  }

  private outputsOf(results: Readonly<Record<string, OnnxTensor>>): NamedTensors {
    return Object.fromEntries(
      this.endpoints.outputs.map(({ name, onnxName }): [string, Tensor] => [
        name,
        fromOnnxTensor(name, results[onnxName]),
      ]),
    );
  }
}

function inferenceFailure(cause: unknown): InferenceFailedError {
  const reason = firstLine(cause);
  const message = `The model cannot compute this: ${reason}`;
  return new InferenceFailedError(message, { engine: 'onnx', reason }, { cause });
}

function rowsOf(inputs: NamedTensors): number {
  const [first] = Object.values(inputs);
  return first?.shape[0] ?? 1;
}
