import { type NamedTensors, type Tensor, type TensorSpec } from '../../common/tensor';
import { type LoadableVersion } from '../../models/version';
import { type CompiledEndpoint, type CompiledModel, compileModel } from '../compile/compile-model';
import { COMPILER_VERSION } from '../compile/compiler-version';
import { type ComputedType, type Constant } from '../compile/constant';
import { toConstant } from '../compile/to-constant';
import { GridfsIoHandler } from '../gridfs-io-handler';
import {
  InferenceFailedError,
  ModelUnloadableError,
  NotCompiledError,
  TensorMismatchError,
} from '../runtime.errors';
import { type Engine, type FileSource, type LoadedModel } from './engine';
import {
  type OnnxRuntime,
  type OnnxSession,
  type OnnxTensor,
  type OnnxValues,
  requireOnnxRuntime,
} from './onnx-runtime';

/** Only errors: what the runtime warns of is how a graph could be smaller. */
const LOG_ERRORS = 3;

/**
 * ONNX Runtime, which runs TensorFlow.js models in their compiled form.
 *
 * Only for processes that may end: its calls block their thread, and nothing stops one.
 *
 * @param threads that one call may compute on
 */
export async function openOnnxEngine(threads: number): Promise<Engine> {
  const runtime = requireOnnxRuntime();
  const { node, common } = runtime.env.versions;
  return await Promise.resolve(
    new OnnxEngine(
      runtime,
      threads,
      `ONNX Runtime ${node ?? common}, models compiled by release ${COMPILER_VERSION}`,
    ),
  );
}

class OnnxEngine implements Engine {
  readonly name = 'onnx';
  private sessions = 0;

  constructor(
    private readonly runtime: OnnxRuntime,
    private readonly threads: number,
    readonly description: string,
  ) {}

  async load(version: LoadableVersion, source: FileSource): Promise<LoadedModel> {
    const compiled = await compileVersion(version, source);
    const session = await this.openSession(compiled);
    this.sessions++;
    const released = (): void => {
      this.sessions--;
    };
    return new OnnxModel(this.runtime, session, compiled, released);
  }

  /** The library counts no tensors: what lives between calls is its sessions. */
  tensorCount(): number {
    return this.sessions;
  }

  private async openSession({ onnx }: CompiledModel): Promise<OnnxSession> {
    try {
      return await this.runtime.InferenceSession.create(onnx, {
        intraOpNumThreads: this.threads,
        // Graphs are chains, mostly: threads within an op are worth more than ops side by side.
        interOpNumThreads: 1,
        executionMode: 'sequential',
        logSeverityLevel: LOG_ERRORS,
      });
    } catch (cause) {
      throw new ModelUnloadableError(
        `The onnx engine cannot load the model: ${firstLine(cause)}`,
        { engine: 'onnx' },
        { cause },
      );
    }
  }
}

/** The compiled form of a version, from its stored files. */
async function compileVersion(
  version: LoadableVersion,
  source: FileSource,
): Promise<CompiledModel> {
  const { format, signature } = version;
  if (format !== 'tfjs-layers' && format !== 'tfjs-graph') {
    throw new ModelUnloadableError(`The onnx engine does not run ${format} artifacts`, {
      engine: 'onnx',
      format,
    });
  }
  const { artifacts, weights } = await new GridfsIoHandler(version, source).open();
  const constants = new Map<string, Constant>();
  for await (const { spec, bytes } of weights()) constants.set(spec.name, toConstant(spec, bytes));
  try {
    return compileModel({ ...artifacts, format, weights: constants }, signature);
  } catch (cause) {
    if (!(cause instanceof NotCompiledError)) throw cause;
    const message = `The onnx engine cannot run the model: ${cause.message}`;
    throw new ModelUnloadableError(message, { engine: 'onnx', ...cause.details }, { cause });
  }
}

class OnnxModel implements LoadedModel {
  readonly inputs: readonly TensorSpec[];
  readonly bytes: number;
  /** The reference, which runs before, has looked at the weights. */
  readonly warnings = [];
  private readonly from: readonly CompiledEndpoint[];
  private readonly to: readonly CompiledEndpoint[];

  constructor(
    private readonly runtime: OnnxRuntime,
    private readonly session: OnnxSession,
    { onnx, inputs, outputs }: CompiledModel,
    private readonly released: () => void,
  ) {
    this.inputs = inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
    this.bytes = onnx.byteLength;
    this.from = inputs;
    this.to = outputs;
  }

  async predict(inputs: NamedTensors): Promise<NamedTensors> {
    const feeds: Record<string, OnnxTensor> = {};
    for (const { name, onnxName } of this.from) {
      const tensor = inputs[name];
      if (!tensor) throw new TensorMismatchError(`Input ${name} is missing`);
      feeds[onnxName] = this.toOnnx(name, tensor);
    }
    let results: Readonly<Record<string, OnnxTensor>>;
    try {
      results = await this.session.run(feeds);
    } catch (cause) {
      const reason = firstLine(cause);
      throw new InferenceFailedError(
        `The model cannot compute this: ${reason}`,
        { engine: 'onnx', reason },
        { cause },
      );
    }
    return Object.fromEntries(
      this.to.map(({ name, onnxName }) => [name, fromOnnx(name, results[onnxName])]),
    );
  }

  async dispose(): Promise<void> {
    await this.session.release();
    this.released();
  }

  private toOnnx(name: string, { dtype, shape, data }: Tensor): OnnxTensor {
    if (dtype === 'string') throw new TensorMismatchError(`Input ${name} cannot be of texts`);
    return new this.runtime.Tensor(dtype, toValues(dtype, data), shape);
  }
}

function fromOnnx(name: string, tensor: OnnxTensor | undefined): Tensor {
  if (!tensor || !isComputed(tensor.type)) {
    throw new TensorMismatchError(`Output ${name} has no plain form`);
  }
  const { buffer, byteOffset, byteLength } = tensor.data;
  const data = new Uint8Array(buffer, byteOffset, byteLength);
  return { dtype: tensor.type, shape: [...tensor.dims], data };
}

function isComputed(type: string): type is ComputedType {
  return type === 'float32' || type === 'int32' || type === 'bool';
}

function toValues(dtype: ComputedType, data: Uint8Array): OnnxValues {
  if (dtype === 'bool') return data;
  // Typed arrays of four-byte elements start at multiples of four.
  const { buffer, byteOffset, byteLength } = data.byteOffset % 4 === 0 ? data : data.slice();
  return dtype === 'int32'
    ? new Int32Array(buffer, byteOffset, byteLength / 4)
    : new Float32Array(buffer, byteOffset, byteLength / 4);
}

/** The library's messages go on about places in its own source. */
function firstLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return (text.split('\n', 1)[0] ?? '').slice(0, 500);
}
