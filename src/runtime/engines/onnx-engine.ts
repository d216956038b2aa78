import { type LoadableVersion } from '../../models/version';
import { COMPILER_VERSION } from '../compile/compiler-version';
import { ModelUnloadableError } from '../runtime.errors';
import { type Engine, type FileSource, type LoadedModel } from './engine';
import { openCompiled } from './onnx-compiled';
import { endpointsOf, OnnxModel } from './onnx-program';
import {
  firstLine,
  type OnnxRuntime,
  type OnnxSession,
  openSession,
  requireOnnxRuntime,
} from './onnx-runtime';

/** Only errors: what the runtime warns of is how a graph could be smaller. */
const LOG_ERRORS = 3;

/**
 * ONNX Runtime, which runs ONNX models as they are and TensorFlow.js models in their compiled form.
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
    const model =
      version.format === 'onnx'
        ? await this.open(version, source)
        : await this.compile(version, source);
    this.sessions++;
    return model;
  }

  /** The library counts no tensors: what lives between calls is its sessions. */
  tensorCount(): number {
    return this.sessions;
  }

  /** An uploaded model, from its one file. */
  private async open(
    { entry, files, signature }: LoadableVersion,
    source: FileSource,
  ): Promise<OnnxModel> {
    const file = files.find(({ path }) => path === entry);
    if (!file) throw new ModelUnloadableError(`The version has no file ${entry}`);
    const bytes = new Uint8Array(await source.read(file));
    const session = await this.openSession(bytes);
    const { byteLength } = bytes;
    return new OnnxModel(session, endpointsOf(session, signature), byteLength, () => {
      this.sessions--;
    });
  }

  private async compile(version: LoadableVersion, source: FileSource): Promise<OnnxModel> {
    const { model, compiled } = await openCompiled(version, source);
    const { onnx, ...endpoints } = model;
    const session = await this.openSession(onnx);
    const { byteLength } = onnx;
    return new OnnxModel(
      session,
      { ...endpoints, isRowwise: false },
      byteLength,
      () => {
        this.sessions--;
      },
      compiled,
    );
  }

  private async openSession(onnx: Uint8Array): Promise<OnnxSession> {
    try {
      return await openSession(this.runtime, onnx, {
        intraOpNumThreads: this.threads,
        // Graphs are chains, mostly: threads within an op are worth more than ops side by side.
        interOpNumThreads: 1,
        executionMode: 'sequential',
        logSeverityLevel: LOG_ERRORS,
        // Never the runtime's other format, which the inspection has not looked into.
        extra: { session: { load_model_format: 'ONNX' } },
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
